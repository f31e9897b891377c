#!/usr/local/bin/node --max-semi-space-size=1
// What bin/etcdguardian is elsewhere, for the image, which has no shell: the same flags. Its variables are the image's own.
'use strict';

require('node:v8').setFlagsFromString('--no-incremental-marking');
void import('../cli/main.ts');
