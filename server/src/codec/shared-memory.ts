/** Tables that every codec thread reads are one copy for all: a task takes no other along. */
export function inSharedMemory<Table extends Int32Array | Uint8Array>(table: Table): Table {
  const Kind = table.constructor as new (buffer: SharedArrayBuffer) => Table;
  const shared = new Kind(new SharedArrayBuffer(table.byteLength));
  shared.set(table);
  return shared;
}
