import { verifySnapshotFile } from './verify-snapshot-file.ts';

// Verifies the file that it is given, and prints whether it is sound and the most memory that took, in KiB.
const { sound } = await verifySnapshotFile(process.argv[2] ?? '', { trailer: 'optional' });
process.stdout.write(JSON.stringify({ sound, peakKibibytes: process.resourceUsage().maxRSS }));
