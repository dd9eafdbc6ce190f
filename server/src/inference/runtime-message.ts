/**
 * The message of an ONNX Runtime failure, as one line fit to be shown: CUDA failures are wrapped in C++ signatures and
 * contain the host name, which must not be disclosed.
 */
export function runtimeMessage(message: string): string {
  const failure = /\b[A-Z]+ failure -?\d+: [^;\n]+/.exec(message)?.[0].trim();
  return failure ?? message.split('\n', 1)[0]!;
}
