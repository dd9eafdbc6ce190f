/**
 * What ONNX Runtime says of a failure, in one line that can be shown: a failure of CUDA comes with C++ signatures around
 * it, and with the name of the host, which is nobody's business.
 */
export function runtimeMessage(message: string): string {
  const failure = /\b[A-Z]+ failure -?\d+: [^;\n]+/.exec(message)?.[0].trim();
  return failure ?? message.split('\n', 1)[0]!;
}
