"""The rules that choose a variant, as data: the first row of `RULES` whose conditions all hold is the advice.

The guide's table (docs/choosing.md) is made of the same rows. Who is good at what comes from family/variants.py; the
thresholds were set on real clips and drawn scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from birefvideo.advice.measures import Measures

_SOMEBODY = 0.5
"""Share of the frames with somebody from which the clip counts as one of people."""
_SOFT = 0.35
_BLENDED = 0.4
_DETAIL = 0.4
_FAST = 0.017
_BUSY = 0.18
_AT_BOTTOM = 0.15
_FLAT = 25.0
_CROWD = 3


_FACTS: dict[str, tuple[str, str]] = {
    "soft_share": ("soft edges", "share"),
    "detail": ("detail above 1024 pixels", "strength"),
    "blended": ("outline in the background's colours", "share"),
    "motion": ("motion a frame", "fine share"),
    "clutter": ("edges in the surroundings", "share"),
    "subjects": ("subjects", "count"),
    "at_bottom": ("subject's width at the lower edge", "share"),
    "people": ("frames with somebody", "share"),
    "tones": ("span of lightness", "number"),
    "object_share": ("lone object on a plain ground", "share"),
}
"""What the measures of conditions are called, and how they are written."""

_NEAR = 0.25
"""Ratio of a measure and a threshold under which one is too far from the other to be worth a line."""
_KNOWN = ("people", "subjects")
"""What the user sees without being told: no line on what would change is about these."""

_WAYS: dict[str, Callable[[float], str]] = {
    "share": lambda value: f"{value:.0%}".replace("%", " %"),
    "fine share": lambda value: f"{100 * value:.1f} %",
    "strength": lambda value: f"{value:.2f}",
    "count": lambda value: f"{value:.0f}",
    "number": lambda value: f"{value:.0f}",
}


def in_words(measure: str, value: float) -> str:
    """Return a measure's value for the user, e.g. '35 %'."""
    return _WAYS[_FACTS[measure][1]](value)


@dataclass(frozen=True)
class Condition:
    """What must hold of one measure."""

    measure: str
    """A field of `Measures`."""
    comparison: str
    """'>=' or '<'."""
    threshold: float
    """What it is compared with."""

    def holds(self, measures: Measures) -> bool:
        """Return whether it does."""
        value = float(getattr(measures, self.measure))
        return value >= self.threshold if self.comparison == ">=" else value < self.threshold


@dataclass(frozen=True)
class Rule:
    """One row: when which variant."""

    name: str
    """What it is called in receipts and JSON."""
    conditions: tuple[Condition, ...]
    """All must hold."""
    model: str
    """The best variant."""
    when: str
    """When it applies, for the guide."""
    reason: str
    """Why, for the user; {name} stands for a measure, as `in_words` writes it."""
    next_best: tuple[str, ...]
    """What to take where it is not to be had, the best first; the embedded one comes after them."""

    def holds(self, measures: Measures) -> bool:
        """Return whether all its conditions do."""
        return all(condition.holds(measures) for condition in self.conditions)


def _at_least(measure: str, threshold: float) -> Condition:
    return Condition(measure, ">=", threshold)


def _below(measure: str, threshold: float) -> Condition:
    return Condition(measure, "<", threshold)


_PEOPLE, _NOBODY = _at_least("people", _SOMEBODY), _below("people", _SOMEBODY)
_OBJECT = _at_least("object_share", 0.01)

RULES = (
    Rule(
        "nobody, low contrast",
        (_NOBODY, _below("tones", _FLAT)),
        "cod",
        f"Nobody is found, and lightness spans less than {in_words('tones', _FLAT)} of 100 in the whole picture.",
        "nobody is found, and the whole picture has little contrast (lightness spans {tones} of 100)",
        ("general", "lite"),
    ),
    Rule(
        "object, fine detail",
        (_NOBODY, _OBJECT, _at_least("detail", _DETAIL)),
        "hr",
        "One object on a plain ground, nobody in the picture, and real detail above 1024 pixels.",
        "one object on a plain ground, with real detail above 1024 pixels ({detail})",
        ("general", "lite-2k", "dynamic", "lite", "rmbg-2.0"),
    ),
    Rule(
        "object",
        (_NOBODY, _OBJECT),
        "general",
        "One object on a plain ground, such as a product, and nobody in the picture.",
        "one object on a plain ground ({object_share} of the picture), and nobody is found",
        ("lite", "dynamic", "hr", "rmbg-2.0"),
    ),
    Rule(
        "nobody",
        (_NOBODY,),
        "general",
        "Nobody is found: objects, animals, places, drawings. General is the first pass for mixed content.",
        "nobody is found, so what the subject is cannot be told; general is the first pass for mixed content",
        ("lite", "dynamic", "hr", "rmbg-2.0"),
    ),
    Rule(
        "person, low contrast",
        (_PEOPLE, _at_least("blended", _BLENDED)),
        "cod",
        f"{in_words('blended', _BLENDED)} of the outline or more has the colours of what is behind it.",
        "{blended} of the outline has the colours of what is behind it",
        ("portrait", "general", "matting", "lite"),
    ),
    Rule(
        "soft edges, fine detail",
        (_PEOPLE, _at_least("soft_share", _SOFT), _at_least("detail", _DETAIL)),
        "hr-matting",
        f"Soft edges along {in_words('soft_share', _SOFT)} of the outline or more, and real detail above 1024 pixels.",
        "soft edges along {soft_share} of the outline, and real detail above 1024 pixels ({detail})",
        ("matting", "lite-matting", "hr", "portrait", "general", "lite"),
    ),
    Rule(
        "soft edges",
        (_PEOPLE, _at_least("soft_share", _SOFT)),
        "matting",
        f"Soft edges (hair, fur, veil) along {in_words('soft_share', _SOFT)} of the outline or more.",
        "soft edges along {soft_share} of the outline, such as loose hair",
        ("hr-matting", "lite-matting", "portrait", "general", "lite"),
    ),
    Rule(
        "fast motion",
        (_PEOPLE, _at_least("motion", _FAST)),
        "matting",
        f"Fast motion, which blurs edges: {in_words('motion', _FAST)} of the long side a frame or more.",
        "fast motion ({motion} of the long side a frame), which blurs edges",
        ("hr-matting", "lite-matting", "portrait", "general", "lite"),
    ),
    Rule(
        "crowd",
        (_PEOPLE, _at_least("subjects", _CROWD)),
        "general",
        "Three subjects or more that are apart from each other.",
        "{subjects} subjects: portrait is weaker in crowds",
        ("portrait", "lite", "dynamic", "hr"),
    ),
    Rule(
        "busy surroundings",
        (_PEOPLE, _below("subjects", 2), _at_least("clutter", _BUSY), _below("at_bottom", _AT_BOTTOM)),
        "hrsod",
        f"One whole subject in a busy frame: {in_words('clutter', _BUSY)} or more of what surrounds it is edges.",
        "one whole subject in a busy frame ({clutter} of its surroundings is edges)",
        ("general", "portrait", "hr", "lite"),
    ),
    Rule(
        "fine detail",
        (_PEOPLE, _at_least("detail", _DETAIL)),
        "hr",
        "Real detail above 1024 pixels in the subject.",
        "real detail above 1024 pixels ({detail}) in the subject",
        ("portrait", "lite-2k", "dynamic", "general", "lite"),
    ),
    Rule(
        "whole body",
        (_PEOPLE, _below("at_bottom", _AT_BOTTOM)),
        "portrait",
        "A whole person: the subject does not leave the picture at its lower edge.",
        "a whole figure that does not leave the picture at its lower edge",
        ("general", "matting", "hr", "lite"),
    ),
    Rule(
        "two people",
        (_PEOPLE, _at_least("subjects", 2)),
        "portrait",
        "Two people who are apart from each other.",
        "two people in ordinary framing",
        ("general", "matting", "hr", "lite"),
    ),
    Rule(
        "talking head",
        (_PEOPLE,),
        "portrait",
        "One person who leaves the picture at its lower edge, with ordinary edges.",
        "one person who leaves the picture at its lower edge, with ordinary edges ({soft_share} soft)",
        ("matting", "general", "hr", "lite"),
    ),
)
"""Every rule; the last two of people and of nobody hold where no other does."""

UNFIT = (
    (_NOBODY, "it finds nobody here, and was made for people only, not for products, animals or places"),
    (_at_least("subjects", 2), "it was made for one person, not for groups"),
    (_below("at_bottom", _AT_BOTTOM), "it was made for people cut off by the lower edge, not for whole bodies"),
    (_at_least("blended", _BLENDED), "it loses clothes and hair that have the background's colour"),
)
"""Where the embedded model is unfit, and how that is said; the first condition that holds."""


def rule_for(measures: Measures) -> Rule:
    """Return the first rule that holds."""
    return next(rule for rule in RULES if rule.holds(measures))


def reason_for(rule: Rule, measures: Measures) -> str:
    """Return why a rule holds, in one line with what was measured."""
    return rule.reason.format(**{name: in_words(name, getattr(measures, name)) for name in _FACTS})


def why_unfit(measures: Measures) -> str:
    """Return why the embedded model is not made for such a picture, or ''."""
    return next((words for condition, words in UNFIT if condition.holds(measures)), "")


def what_would_change(rule: Rule, measures: Measures, most: int = 3) -> list[str]:
    """Return what would lead to other variants, one line each, the nearest first: what one measure alone decides.

    Args:
        rule: the one that holds.
        measures: what was measured.
        most: lines at most.
    """
    found: dict[str, tuple[float, str]] = {}
    for condition, model in (*_kept_away(rule, measures), *_left(rule, measures)):
        if condition.measure in _KNOWN or model == rule.model:
            continue
        value = float(getattr(measures, condition.measure))
        low, high = sorted((value, condition.threshold))
        near = low / high if high else 0.0
        if near >= _NEAR:
            found.setdefault(model, (near, _change(condition, value, model)))
    return [line for _, line in sorted(found.values(), key=lambda one: -one[0])[:most]]


def _kept_away(rule: Rule, measures: Measures) -> Iterator[tuple[Condition, str]]:
    """Yield the single conditions that keep earlier rules from holding, with their variants."""
    for other in RULES[: RULES.index(rule)]:
        failing = [condition for condition in other.conditions if not condition.holds(measures)]
        if len(failing) == 1:
            yield failing[0], other.model


def _left(rule: Rule, measures: Measures) -> Iterator[tuple[Condition, str]]:
    """Yield the opposite of each condition of a rule, with the variant that would be advised then."""
    for condition in rule.conditions:
        for other in RULES[RULES.index(rule) + 1 :]:
            if condition not in other.conditions and other.holds(measures):
                comparison = "<" if condition.comparison == ">=" else ">="
                yield replace(condition, comparison=comparison), other.model
                break


def _change(condition: Condition, value: float, model: str) -> str:
    name = _FACTS[condition.measure][0]
    limit = in_words(condition.measure, condition.threshold)
    bound = f"{limit} or more" if condition.comparison == ">=" else f"less than {limit}"
    return f"{name}: {bound} (here {in_words(condition.measure, value)}) → {model}"
