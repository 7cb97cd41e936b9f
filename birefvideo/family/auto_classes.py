"""BiRefNet in transformers' Auto classes, from the moment that a program imports those.

`import birefvideo` stays quick: transformers takes seconds, and most programs never need it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def _register_config() -> None:
    from transformers import AutoConfig

    from birefvideo.family.config import BiRefNetConfig

    AutoConfig.register(BiRefNetConfig.model_type, BiRefNetConfig, exist_ok=True)


def _register_model() -> None:
    from transformers import AutoModelForImageSegmentation
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_SEGMENTATION_MAPPING_NAMES as PIPELINE_MODELS

    from birefvideo.family.config import BiRefNetConfig
    from birefvideo.family.modeling import BiRefNetForImageSegmentation

    AutoModelForImageSegmentation.register(BiRefNetConfig, BiRefNetForImageSegmentation, exist_ok=True)
    # The pipeline warns about models that are not in this list, which `register` leaves as it is.
    PIPELINE_MODELS[BiRefNetConfig.model_type] = BiRefNetForImageSegmentation.__name__


def _register_image_processor() -> None:
    from transformers import AutoImageProcessor

    from birefvideo.family.config import BiRefNetConfig
    from birefvideo.family.image_processor import BiRefNetImageProcessor

    AutoImageProcessor.register(BiRefNetConfig, slow_image_processor_class=BiRefNetImageProcessor, exist_ok=True)


_HOOKS: dict[str, Callable[[], None]] = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_model,
    "transformers.models.auto.image_processing_auto": _register_image_processor,
}
"""What to do when a module has been imported."""


class _AfterImport(MetaPathFinder):
    """Finds the modules of `_HOOKS` as the other finders do, and calls their hooks once they are there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec with a loader that calls the hook; None for every other module."""
        hook = _HOOKS.get(fullname)
        if hook is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                hook()

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Register the classes now, where transformers' are imported already, else when they are."""
    for name, hook in _HOOKS.items():
        if name in sys.modules:
            hook()
    if not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())
