// The file that runs on the browser's audio thread: both halves in one, since they share the resampler.

import './capture.worklet.js';
import './playback.worklet.js';
