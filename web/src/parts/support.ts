/** What to do in a browser without WebGPU. */

export interface Surroundings {
  hasWebGpu: boolean;
  isSecure: boolean;
  userAgent: string;
}

export interface Advice {
  /** Why the page cannot train. */
  reason: string;
  /** What helps in this browser; null if nothing is known. */
  setting: string | null;
}

/** Browsers that have WebGPU, and since which version. */
export const browsers: readonly (readonly [name: string, versions: string])[] = [
  [
    'Chrome and Edge',
    '113 or later on Windows, macOS and ChromeOS; 121 on Android; on Linux it depends on the driver',
  ],
  ['Safari', '26 or later, on macOS, iOS and iPadOS'],
  ['Firefox', '141 or later on Windows; 145 on Macs with Apple silicon'],
];

/** Null if the page may ask for an adapter. */
export function adviceFor({ hasWebGpu, isSecure, userAgent }: Surroundings): Advice | null {
  if (hasWebGpu) return null;
  if (!isSecure)
    return {
      reason: 'Browsers offer WebGPU only to pages served by https or from localhost.',
      setting: 'Open this page by https, or from localhost.',
    };
  return {
    reason: 'This browser does not offer WebGPU, with which the page computes on the GPU.',
    setting: settingFor(userAgent),
  };
}

/** Of a browser that has WebGPU, but no adapter. */
export const noAdapterAdvice = (userAgent: string): Advice => ({
  reason: 'This browser has WebGPU, but offers no GPU.',
  setting: /Chrome\//.test(userAgent)
    ? `Switch on “Use graphics acceleration when available” in chrome://settings/system.${
        isLinux(userAgent) ? ` ${LINUX}` : ''
      }`
    : 'Switch on hardware acceleration in the settings of the browser, and update the graphics driver.',
});

const LINUX =
  'On Linux, set chrome://flags/#enable-unsafe-webgpu and chrome://flags/#enable-vulkan to Enabled, and restart.';

const isLinux = (userAgent: string): boolean => /Linux/.test(userAgent) && !/Android/.test(userAgent);

function settingFor(userAgent: string): string | null {
  const version = (pattern: RegExp): number => Number(pattern.exec(userAgent)?.[1] ?? Number.NaN);
  if (/Firefox\//.test(userAgent))
    return version(/Firefox\/(\d+)/) < 141
      ? 'Update Firefox.'
      : 'In Firefox, open about:config and set dom.webgpu.enabled to true.';
  if (/Chrome\//.test(userAgent)) {
    if (version(/Chrome\/(\d+)/) < 113) return 'Update the browser.';
    return isLinux(userAgent)
      ? LINUX
      : 'Set chrome://flags/#enable-unsafe-webgpu to Enabled, and restart the browser.';
  }
  if (/Safari\//.test(userAgent))
    return version(/Version\/(\d+)/) >= 26
      ? 'In Safari, open Settings, Feature Flags, and switch on WebGPU.'
      : 'Update to Safari 26, which comes with macOS 26 and iOS 26.';
  return null;
}
