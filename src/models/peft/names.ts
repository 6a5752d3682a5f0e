/** Names in PEFT's folders. */

export const ADAPTER_CONFIG_NAME = 'adapter_config.json';
export const ADAPTER_WEIGHTS_NAME = 'adapter_model.safetensors';
/** The adapter without a name of its own; its files are in the folder itself. */
export const DEFAULT_ADAPTER = 'default';
/** What stands before the names of a model's weights. */
export const PREFIX = 'base_model.model.';
