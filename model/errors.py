"""Every error that `model` raises on purpose.

MedImageInsightError
├── CheckpointError            a release folder, weights file or download that cannot be used
│   └── CheckpointNotCached    offline, and the cache does not hold the model
├── ConfigError                a config.yaml that the code cannot build
├── DeviceError                the asked-for device or dtype does not exist here
├── ExtraMissing               packages of an extra are needed and not installed
├── ManifestError              a list of images, texts and labels that cannot be used
├── TrainingError              a training that cannot be started, resumed or gone on with
│   └── TrainingInterrupted    a signal stopped it; its state is saved
├── InvalidInput               bad input of a user: the message is one sentence that may be shown to anyone
│   ├── ImageDecodeError       bytes that are no readable image
│   ├── ImageFormatUnsupported an image, or a document, of a format that is not accepted
│   ├── ImageTooLarge          more pixels or bytes than allowed
│   └── TextInvalid            a text that cannot be tokenised
├── OutOfDeviceMemory          the device has no memory for so large a batch
└── EncoderFault               the encoder gave a result that is no embedding (NaN, wrong shape)

Messages never hold a payload, a file's contents or a path from a request.
"""


class MedImageInsightError(Exception):
    """Base of all errors of this package."""


class CheckpointError(MedImageInsightError):
    """A release folder, weights file or download cannot be used."""


class CheckpointNotCached(CheckpointError):
    """Offline mode, and the cache does not hold what was asked for."""


class ConfigError(MedImageInsightError):
    """A `config.yaml` that is unreadable or asks for what the code cannot build."""


class DeviceError(MedImageInsightError):
    """The requested device or dtype is not available."""


class ExtraMissing(MedImageInsightError):
    """Packages of an extra are needed and not installed."""


class ManifestError(MedImageInsightError):
    """A list of images, texts and labels cannot be used."""


class TrainingError(MedImageInsightError):
    """A training cannot be started, resumed or gone on with."""


class TrainingInterrupted(TrainingError):
    """A signal stopped a training; its state is saved."""


class InvalidInput(MedImageInsightError):
    """Bad input of a user; the message is safe to show."""


class ImageDecodeError(InvalidInput):
    """Bytes that are no readable image."""


class ImageFormatUnsupported(InvalidInput):
    """An image or document of a format that is not accepted."""


class ImageTooLarge(InvalidInput):
    """An image with more pixels than allowed."""


class TextInvalid(InvalidInput):
    """A text that cannot be tokenised."""


class OutOfDeviceMemory(MedImageInsightError, MemoryError):
    """The device has no memory for so large a batch."""


class EncoderFault(MedImageInsightError):
    """The encoder returned something that is not an embedding."""
