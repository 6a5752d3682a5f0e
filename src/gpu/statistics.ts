/** Counts of what the GPU layer did. */
export interface PoolStatistics {
  /** Buffers on loan, and their bytes. */
  live: number;
  liveBytes: number;
  /** Buffers waiting to be reused, and their bytes. */
  idle: number;
  idleBytes: number;
  /** Buffers ever created. */
  created: number;
  /** Highest sum of live and idle bytes so far, and of live ones. */
  peakBytes: number;
  peakLiveBytes: number;
}

export interface RecorderStatistics {
  dispatches: number;
  submissions: number;
  bindGroupHits: number;
  bindGroupMisses: number;
}
