import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageCutter, ownMemory, reusedMemory } from './message-cutter.ts';

function framed(message: Buffer, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function cut(bytes: Buffer, step: number): string[] {
  const messages: string[] = [];
  const cutter = new MessageCutter(reusedMemory(100), (message) => messages.push(message.toString()));
  for (let at = 0; at < bytes.length; at += step) cutter.write(bytes.subarray(at, at + step));
  return messages;
}

test('messages are the same wherever the bytes are cut', () => {
  const messages = ['one', '', 'three', 'x'.repeat(100), ''];
  const bytes = Buffer.concat(messages.map((message) => framed(Buffer.from(message))));
  for (let step = 1; step <= bytes.length; step++) assert.deepEqual(cut(bytes, step), messages, `${step}`);
});

test('a message that is not whole is not given out', () => {
  assert.deepEqual(cut(framed(Buffer.from('abc')).subarray(0, -1), 3), []);
});

test('a compressed message and one that is too long are refused', () => {
  assert.throws(() => cut(framed(Buffer.from('a'), 1), 2), /compressed/);
  assert.throws(() => cut(framed(Buffer.alloc(101)), 2), /101 bytes/);
});

test('messages with memory of their own stay as they are', () => {
  const messages: Buffer[] = [];
  const cutter = new MessageCutter(ownMemory(100), (message) => messages.push(message));
  for (const text of ['one', 'two', '']) cutter.write(framed(Buffer.from(text)));
  assert.deepEqual(messages.map(String), ['one', 'two', '']);
});
