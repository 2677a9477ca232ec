"""All error classes of `model`.

MedImageInsightError
├── CheckpointError            a release folder, weights file or download that cannot be used
│   └── CheckpointNotCached    offline, and the cache does not hold the model
├── ConfigError                a config.yaml that the code cannot build
├── DeviceError                the requested device or dtype is not available
├── ExtraMissing               a needed extra is not installed
├── HeadError                  a head that cannot be read, made or used
├── ManifestError              a list of images, texts and labels that cannot be used
├── OutputError                an output file or folder that cannot be written
├── ReportError                an evaluation report that cannot be compared
├── TrainingError              a training that cannot start, resume or continue
│   └── TrainingInterrupted    a signal stopped it; its state is saved
├── InvalidInput               invalid input of a user; the message is one sentence and safe to show to anyone
│   ├── ImageDecodeError       bytes that are not a readable image
│   ├── ImageFormatUnsupported an image or document in a format that is not accepted
│   ├── ImageTooLarge          more pixels or bytes than the limit
│   ├── ImageTooCostly         decoding needs more time or memory than the limit
│   ├── DecoderFailed          the decoder crashed on the image
│   ├── OutOfMemory            there is no memory to decode the image now; the image is not to blame
│   └── TextInvalid            a text that cannot be tokenised
├── OutOfDeviceMemory          the memory of the device is too small for the batch
└── EncoderFault               the encoder returned something that is not an embedding (NaN, wrong shape)

Messages never contain a payload, the contents of a file, or a path from a request.
"""


class MedImageInsightError(Exception):
    """Base class of all errors of this package."""


class CheckpointError(MedImageInsightError):
    """A release folder, weights file or download cannot be used."""


class CheckpointNotCached(CheckpointError):
    """Offline mode is on, and the cache does not contain the model."""


class ConfigError(MedImageInsightError):
    """A `config.yaml` is unreadable, or describes a model that the code cannot build."""


class DeviceError(MedImageInsightError):
    """The requested device or dtype is not available."""


class ExtraMissing(MedImageInsightError):
    """A needed extra of the distribution is not installed."""


class HeadError(MedImageInsightError):
    """A head cannot be read, made or used."""


class ManifestError(MedImageInsightError):
    """A list of images, texts and labels cannot be used."""


class OutputError(MedImageInsightError):
    """An output file or folder cannot be written."""


class ReportError(MedImageInsightError):
    """An evaluation report cannot be compared."""


class TrainingError(MedImageInsightError):
    """A training cannot start, resume or continue."""


class TrainingInterrupted(TrainingError):
    """A signal stopped a training; its state is saved."""


class InvalidInput(MedImageInsightError):
    """Invalid input of a user; the message is one sentence and safe to show to anyone."""


class ImageDecodeError(InvalidInput):
    """The bytes are not a readable image."""


class ImageFormatUnsupported(InvalidInput):
    """The image or document has a format that is not accepted."""


class ImageTooLarge(InvalidInput):
    """The image has more pixels or bytes than the limit."""


class ImageTooCostly(InvalidInput):
    """Decoding the image needs more time or memory than the limit."""


class DecoderFailed(InvalidInput):
    """The decoder crashed on the image."""


class OutOfMemory(InvalidInput):
    """There is no memory to decode the image now; the image is not to blame."""


class TextInvalid(InvalidInput):
    """The text cannot be tokenised."""


class OutOfDeviceMemory(MedImageInsightError, MemoryError):
    """The memory of the device is too small for the batch."""


class EncoderFault(MedImageInsightError):
    """The encoder returned something that is not an embedding."""
