/** Names of trackers, for the table of arguments. */
export const trackerNames = ['tensorboard', 'html'] as const;
export type Tracker = (typeof trackerNames)[number];
