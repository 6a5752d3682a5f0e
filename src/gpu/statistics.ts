/** Counters of the GPU layer. */
export interface PoolStatistics {
  /** Buffers on loan, and their total bytes. */
  live: number;
  liveBytes: number;
  /** Buffers waiting to be reused, and their total bytes. */
  idle: number;
  idleBytes: number;
  created: number;
  /** Peak of live and idle bytes together, and peak of live bytes. */
  peakBytes: number;
  peakLiveBytes: number;
}

export interface RecorderStatistics {
  dispatches: number;
  submissions: number;
  bindGroupHits: number;
  bindGroupMisses: number;
}
