/** New identifiers for DICOM objects, from random numbers as ISO 9834-8 allows. */

export function newUid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40; // a UUID of version 4
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const number = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return `2.25.${number}`;
}
