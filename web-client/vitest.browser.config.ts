// Tests in Debian's Chromium against a running Floe: TEST_FLOE is the server's binary (`make test-web` builds it).

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['browser/**/*.test.ts', 'console/browser/**/*.test.ts'],
    environment: 'node',
    globalSetup: 'browser/setup.ts',
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // A browser of its own for each test, and most of the time is somebody speaking: two at a time.
    poolOptions: { forks: { maxForks: 2, minForks: 1 } },
    reporters: ['verbose'],
  },
});
