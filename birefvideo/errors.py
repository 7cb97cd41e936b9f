"""The errors a user can meet: each message says what was got, what is allowed and what to do."""


class BirefvideoError(Exception):
    """Base of every error that is the input's or the machine's fault; the CLI prints it in one line."""


class InputError(BirefvideoError):
    """The input file is missing, unreadable or holds no usable video."""


class OutputError(BirefvideoError):
    """An output cannot be written, exists already, or failed verification."""


class ModelError(BirefvideoError):
    """A checkpoint is unknown, missing or does not fit the network."""


class OptionError(BirefvideoError):
    """An option has a value that is not allowed; the CLI exits with 2."""


class DeviceError(BirefvideoError):
    """The asked-for device is not there or ran out of memory."""
