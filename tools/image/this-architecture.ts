import type { Architecture } from './image-archive.ts';

/** Of the machine this runs on. */
export function thisArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new Error(`there is no image for ${process.arch}, only for amd64 and arm64`);
}
