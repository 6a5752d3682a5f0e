/**
 * Every error the engine throws on purpose. Each says what was wrong, names the
 * thing (op, file, key, row) and what to do about it.
 */
export class DawngradError extends Error {
  /** `remedy` is a short imperative sentence; it is appended to the message. */
  constructor(message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(
      options.remedy === undefined ? message : `${message} · ${options.remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
  }
}

/** Tensor shapes that do not fit an operation. */
export class ShapeError extends DawngradError {}
/** An element type that an operation does not take. */
export class DtypeError extends DawngradError {}
/** The autograd tape was used in a way that cannot give gradients. */
export class AutogradError extends DawngradError {}
/** A tensor was used after its memory went back to the pool. */
export class DisposedError extends DawngradError {}
/** A value that must be finite is not (loss, gradient norm). */
export class NonFiniteError extends DawngradError {}

/** No WebGPU adapter could be found, or not the one that was asked for. */
export class NoAdapterError extends DawngradError {}
/** The GPU refused an operation: a validation or internal error of WebGPU. */
export class GpuError extends DawngradError {}
export class GpuOutOfMemoryError extends GpuError {}
export class DeviceLostError extends GpuError {}

/** A file or folder that is missing or cannot be read. */
export class FileError extends DawngradError {}
/** The output folder exists and may not be replaced. */
export class OutputExistsError extends FileError {}
/** A safetensors file or weight that does not hold what it claims. */
export class CheckpointError extends DawngradError {}
/** A config.json, or an option, that cannot be used. */
export class ConfigError extends DawngradError {}
/** A `model_type` that this engine does not have. */
export class UnsupportedModelError extends ConfigError {}
/** Vocabulary or tokenizer files that cannot be used, or text that does not fit. */
export class TokenizerError extends DawngradError {}
/** A data file, column, row or label that cannot be used. */
export class DataError extends DawngradError {}
/** A callback, dataset or function of the user's own threw; its error is the cause. */
export class UserCodeError extends DawngradError {}
/** The command line was used wrongly. */
export class UsageError extends DawngradError {}
