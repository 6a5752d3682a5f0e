/** The public API of dawngrad. */
/// <reference lib="esnext.disposable" preserve="true" />

export { type Choices, type ChoicesOptions, readChoices } from './data/choices.ts';
export * from './data/collate.ts';
export { type ChoiceExample, dataCollatorForMultipleChoice } from './data/collate-choices.ts';
export { ArrayDataset, type Dataset, type Example, encodeTable } from './data/dataset.ts';
export {
  type DatasetOptions,
  type DatasetSplit,
  type HubDataset,
  hubDataset,
} from './data/hub-dataset.ts';
export type { LabelCell, LabelItem } from './data/label-cells.ts';
export { encodeLabels, inferLabels, type Label, type LabelSet, labelsOfModel } from './data/labels.ts';
export { DataLoader, type DataLoaderOptions } from './data/loader.ts';
export { type Answer, type Question, type QuestionOptions, readQuestions } from './data/questions.ts';
export type { DataRecord, RecordOptions } from './data/records.ts';
export {
  isStream,
  type StreamDataset,
  StreamLoader,
  type StreamLoaderOptions,
  type TrainDataset,
} from './data/stream.ts';
export {
  readTable,
  type TableLayout,
  type TableOptions,
  type TextRow,
  type TextTable,
} from './data/table.ts';
export { decideTask, type TaskDecision, type TaskOptions } from './data/task.ts';
export {
  readTextSets,
  type TextSet,
  type TextSetKind,
  type TextSetOptions,
  type TextSets,
} from './data/text-sets.ts';
export { readTaggedTexts, type TaggedText, type TaggedTextOptions } from './data/tokens.ts';
export * from './errors.ts';
export {
  AlbertForMaskedLM,
  AlbertForMultipleChoice,
  AlbertForPreTraining,
  AlbertForQuestionAnswering,
  AlbertForSequenceClassification,
  AlbertForTokenClassification,
  AlbertModel,
} from './models/albert.ts';
export * from './models/auto.ts';
export {
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
} from './models/bert.ts';
export {
  CamembertForMaskedLM,
  CamembertForMultipleChoice,
  CamembertForQuestionAnswering,
  CamembertForSequenceClassification,
  CamembertForTokenClassification,
  CamembertModel,
} from './models/camembert.ts';
export type { HiddenActivation } from './models/common/activations.ts';
export { type BaseModel, type BaseModelOutput, EncoderModel } from './models/common/base-model.ts';
export type { PretrainedConfig, ProblemType } from './models/common/config.ts';
export type { ModelInputs } from './models/common/inputs.ts';
export { PreTrainedModel } from './models/common/pretrained.ts';
export {
  type LabelledInputs,
  type MaskedLmInputs,
  type QuestionAnsweringInputs,
  type QuestionAnsweringOutput,
  TaskModel,
  type TaskOutput,
} from './models/common/tasks.ts';
export type { ConfigOverrides } from './models/config.ts';
export {
  DebertaV2ForMaskedLM,
  DebertaV2ForMultipleChoice,
  DebertaV2ForQuestionAnswering,
  DebertaV2ForSequenceClassification,
  DebertaV2ForTokenClassification,
  DebertaV2Model,
} from './models/deberta-v2.ts';
export {
  DistilBertForMaskedLM,
  DistilBertForMultipleChoice,
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
  DistilBertModel,
} from './models/distilbert.ts';
export {
  ElectraForMaskedLM,
  ElectraForMultipleChoice,
  ElectraForPreTraining,
  ElectraForQuestionAnswering,
  ElectraForSequenceClassification,
  ElectraForTokenClassification,
  ElectraModel,
} from './models/electra.ts';
export {
  type CopyOptions,
  copyFolder,
  type FilesOptions,
  mountFolder,
  type PickedFile,
  type PickedFolder,
  zipFolder,
} from './models/files/folders.ts';
export {
  type DownloadProgress,
  type HubOptions,
  snapshotDownload,
} from './models/files/hub.ts';
export type { LoadOptions, LoadReport } from './models/files/load.ts';
export { type Pushed, type PushOptions, pushFolder, pushTarget } from './models/files/push.ts';
export { type SaveOptions, saveModel } from './models/files/save.ts';
export {
  ModernBertForMaskedLM,
  ModernBertForMultipleChoice,
  ModernBertForQuestionAnswering,
  ModernBertForSequenceClassification,
  ModernBertForTokenClassification,
  ModernBertModel,
} from './models/modernbert.ts';
export {
  MPNetForMaskedLM,
  MPNetForMultipleChoice,
  MPNetForQuestionAnswering,
  MPNetForSequenceClassification,
  MPNetForTokenClassification,
  MPNetModel,
} from './models/mpnet.ts';
export { LoraConfig, type LoraOptions, type TaskType } from './models/peft/config.ts';
export {
  type AdapterOptions,
  getPeftModel,
  type LoadAdapterOptions,
  PeftModel,
} from './models/peft/peft-model.ts';
export type { ModelType } from './models/registry.ts';
export {
  RobertaForMaskedLM,
  RobertaForMultipleChoice,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaModel,
} from './models/roberta.ts';
export {
  XLMRobertaForMaskedLM,
  XLMRobertaForMultipleChoice,
  XLMRobertaForQuestionAnswering,
  XLMRobertaForSequenceClassification,
  XLMRobertaForTokenClassification,
  XLMRobertaModel,
} from './models/xlm-roberta.ts';
export { Dropout, Embedding, LayerNorm, Linear, skipInit } from './nn/layers.ts';
export { Module } from './nn/module.ts';
export { exportOnnx, type OnnxDtype, type OnnxOptions } from './onnx/export.ts';
export { Adafactor, type AdafactorGroup, type AdafactorOptions } from './optim/adafactor.ts';
export { AdamW, type AdamWOptions, type ParameterGroup, type StepOptions } from './optim/adamw.ts';
export { type ClipFactorOptions, clipFactor, clipGradNorm } from './optim/clip.ts';
export { GradScaler, type GradScalerOptions, type GradScalerState } from './optim/grad-scaler.ts';
export { flatGradients } from './optim/gradients.ts';
export { Lion, type LionGroup, type LionOptions } from './optim/lion.ts';
export type { Optimizer } from './optim/optimizer.ts';
export * from './optim/schedule.ts';
export { type SentenceExample, sentenceCollator } from './sentence/collate.ts';
export {
  type ContrastivePair,
  contrastivePairs,
  type PairOptions,
  type SamplingStrategy,
} from './sentence/contrastive-pairs.ts';
export { CrossEncoder, type Ranked, type RankOptions, type ScoreOptions } from './sentence/cross-encoder.ts';
export { neighborMetrics, retrievalMetrics, similarityMetrics } from './sentence/evaluation.ts';
export type { SentenceSettings } from './sentence/folder.ts';
export {
  type LabelKind,
  SentenceLoss,
  type SentenceLossInputs,
  type SentenceLossOutput,
} from './sentence/losses/loss.ts';
export { MatryoshkaLoss, type MatryoshkaOptions } from './sentence/losses/matryoshka.ts';
export { type LossName, lossNames, usualLoss } from './sentence/losses/names.ts';
export {
  CachedMultipleNegativesRankingLoss,
  type CachedNegativesOptions,
  MultipleNegativesRankingLoss,
  type NegativesOptions,
} from './sentence/losses/ranking.ts';
export { CoSENTLoss, CosineSimilarityLoss } from './sentence/losses/scored-pairs.ts';
export { BatchAllTripletLoss, TripletLoss, type TripletOptions } from './sentence/losses/triplets.ts';
export type { PoolingMode } from './sentence/pooling.ts';
export {
  type EncodeTextsOptions,
  type SentenceInputs,
  type SentenceOptions,
  type SentenceOutput,
  SentenceTransformer,
} from './sentence/sentence-transformer.ts';
export {
  type LabelledText,
  type SetFitInputs,
  SetFitModel,
  SetFitTrainer,
  type SetFitTrainerOptions,
} from './sentence/setfit.ts';
export { pairwiseSimilarity, type SimilarityFunction, similarityMatrix } from './sentence/similarity.ts';
export {
  type SentenceRow,
  type SentenceTrainerOptions,
  SentenceTransformerTrainer,
  sentenceDataset,
} from './sentence/trainer.ts';
export {
  type AnsweredWindow,
  type RankedAnswer,
  type Ranking,
  type RankingOptions,
  rankAnswers,
} from './tasks/answers.ts';
export {
  type Aggregation,
  aggregations,
  type FoundEntity,
  groupEntities,
  type ScoredToken,
} from './tasks/entity-groups.ts';
export {
  type EntityReport,
  type EntityScores,
  entityMetrics,
  entityReport,
} from './tasks/entity-metrics.ts';
export type { FileFront } from './tasks/file-front.ts';
export { dataFiles, holdOut, readAll } from './tasks/read.ts';
export { readFor, taskNamed, taskNames, taskOfFile, taskOfFolder, taskOfModel } from './tasks/registry.ts';
export { type AnsweredQuestion, answerF1, normalizeAnswer, squadMetrics } from './tasks/squad-metrics.ts';
export { type Entity, entitiesOf, type Scheme, schemes } from './tasks/tags.ts';
export type {
  Bound,
  Decision,
  DecisionOptions,
  EncodingOptions,
  Features,
  Input,
  Row,
  Task,
  TaskFile,
} from './tasks/task.ts';
export { type TextExample, textClassification } from './tasks/text-classification.ts';
export { autocast, isAutocastEnabled } from './tensor/autocast.ts';
export { checkpoint } from './tensor/checkpoint.ts';
export {
  type Device,
  type DeviceOptions,
  type DeviceStatistics,
  type RandomState,
  requestDevice,
  type Scope,
} from './tensor/device.ts';
export {
  type AttentionOptions,
  attention,
  type SelfAttentionOptions,
  selfAttention,
} from './tensor/ops/attention.ts';
export { eq, ge, gt, le, lt, maximum, minimum, ne, where } from './tensor/ops/compare.ts';
export {
  add,
  div,
  dropout,
  exp,
  type FloatDtype,
  type GeluOptions,
  gelu,
  mul,
  quickGelu,
  relu,
  scale,
  sigmoid,
  silu,
  sub,
  tanh,
  to,
} from './tensor/ops/elementwise.ts';
export { embedding } from './tensor/ops/embedding.ts';
export { amax, amin, argmax, argmin, type Extremes, max, min } from './tensor/ops/extremes.ts';
export { abs, type ClampOptions, clamp, log, pow, sqrt } from './tensor/ops/functions.ts';
export { cat, stack } from './tensor/ops/join.ts';
export { bceWithLogits, crossEntropy, mseLoss } from './tensor/ops/loss.ts';
export { linear, type MatmulOptions, matmul } from './tensor/ops/matmul.ts';
export { addLayerNorm, layerNorm, softmax } from './tensor/ops/normalize.ts';
export { mean, sum } from './tensor/ops/reduction.ts';
export { maxTokens, type NormalizeOptions, normalize } from './tensor/ops/text-vectors.ts';
export { narrow, permute, reshape, select, transpose } from './tensor/ops/view.ts';
export type { Shape } from './tensor/shape.ts';
export { enableGrad, isGradEnabled, noGrad } from './tensor/tape.ts';
export { type Dtype, Tensor } from './tensor/tensor.ts';
export { AutoTokenizer } from './text/auto.ts';
export {
  type BatchEncoding,
  type BatchOptions,
  type EncodeOptions,
  type Encoding,
  PreTrainedTokenizer,
  type Text,
  type TextInput,
} from './text/tokenizer.ts';
export { defaultTrainingArguments, type TrainingArguments } from './train/arguments.ts';
export type { NamedArray } from './train/arrays.ts';
export {
  type CallbackContext,
  EarlyStoppingCallback,
  type StepReport,
  type TrainerCallback,
} from './train/callbacks.ts';
export { lastCheckpoint } from './train/checkpoint.ts';
export { compileAhead } from './train/compile.ts';
export type { ComputeMetrics, EvalPrediction, EvaluationHooks } from './train/evaluate.ts';
export { type BatchTensors, toTensors, type UploadedBatch } from './train/inputs.ts';
export * from './train/metrics.ts';
export {
  type BatchPrediction,
  type ComputeLoss,
  compilePrediction,
  type LossInputs,
  type PredictOptions,
  predictBatches,
  type TrainableModel,
} from './train/predict.ts';
export { initProcessGroup } from './train/ranks.ts';
export type { CallbackState, LogEntry, TrainerState } from './train/state.ts';
export type { MakeOptimizer, ReduceGradients } from './train/step.ts';
export { type PredictionOutput, Trainer, type TrainerOptions, type TrainOutput } from './train/trainer.ts';
