#!/usr/local/bin/node --max-semi-space-size=1
// bin/etcdguardian for the image, which has no shell. Same flags: the image's own settings have the rest.
'use strict';

require('node:v8').setFlagsFromString('--no-incremental-marking');
void import('/opt/etcdguardian/cli/main.ts');
