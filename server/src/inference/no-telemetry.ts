/** Imported before ONNX Runtime, in the main thread: native code sees only what that thread sets. */

// ONNX Runtime 1.29 and later sends events about models and machine to Microsoft unless this is set before it is loaded.
process.env['ORT_DISABLE_TELEMETRY'] = '1';
