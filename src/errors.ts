import { keepNames } from './keep-names.ts';

/**
 * Base class of every error that the engine throws deliberately. A message says what was wrong, names the
 * thing (op, file, key, row), and gives the remedy.
 */
export class DawngradError extends Error {
  /** `remedy` is a short imperative sentence, appended to the message. */
  constructor(message: string, options: { remedy?: string | undefined; cause?: unknown } = {}) {
    super(
      options.remedy === undefined ? message : `${message} · ${options.remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
  }
}

/** Tensor shapes do not fit an operation. */
export class ShapeError extends DawngradError {}
/** An operation does not accept this element type. */
export class DtypeError extends DawngradError {}
/** The autograd tape was used in a way that cannot produce gradients. */
export class AutogradError extends DawngradError {}
/** A tensor was used after its memory had been returned to the pool. */
export class DisposedError extends DawngradError {}
/** A value that must be finite (loss, gradient norm) is not. */
export class NonFiniteError extends DawngradError {}

/** No WebGPU adapter was found, or none that matches the request. */
export class NoAdapterError extends DawngradError {}
/** The GPU rejected an operation: a WebGPU validation or internal error. */
export class GpuError extends DawngradError {}
export class GpuOutOfMemoryError extends GpuError {}
export class DeviceLostError extends GpuError {}

/** The processes of a job cannot reach each other, or one of them has ended. */
export class ProcessGroupError extends DawngradError {}

/** A file or folder is missing or cannot be read. */
export class FileError extends DawngradError {}
/** The hub, or its cache, has no such model or data set. */
export class NotFoundError extends FileError {}
/** The output folder exists and may not be replaced. */
export class OutputExistsError extends FileError {}
/** A safetensors file or a weight does not hold what it declares. */
export class CheckpointError extends DawngradError {}
/** A config.json or an option cannot be used. */
export class ConfigError extends DawngradError {}
/** The engine does not support this `model_type`. */
export class UnsupportedModelError extends ConfigError {}
/** Vocabulary or tokenizer files cannot be used, or a text does not fit. */
export class TokenizerError extends DawngradError {}
/** A data file, column, row or label cannot be used. */
export class DataError extends DawngradError {}
/** A user's callback, dataset or function threw; `cause` holds the original error. */
export class UserCodeError extends DawngradError {}
/** The command line is invalid. */
export class UsageError extends DawngradError {}

keepNames({
  DawngradError,
  ShapeError,
  DtypeError,
  AutogradError,
  DisposedError,
  NonFiniteError,
  NoAdapterError,
  GpuError,
  GpuOutOfMemoryError,
  DeviceLostError,
  ProcessGroupError,
  FileError,
  NotFoundError,
  OutputExistsError,
  CheckpointError,
  ConfigError,
  UnsupportedModelError,
  TokenizerError,
  DataError,
  UserCodeError,
  UsageError,
});
