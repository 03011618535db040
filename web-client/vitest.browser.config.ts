// Tests in Debian's Chromium against a running Floe: TEST_FLOE is the server's binary (`make test-web` builds it).

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['browser/**/*.test.ts'],
    environment: 'node',
    globalSetup: 'browser/setup.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One microphone per browser, and two cores.
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
