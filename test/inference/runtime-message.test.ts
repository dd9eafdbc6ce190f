import { expect, it } from 'vitest';
import { runtimeMessage } from '../../server/src/inference/runtime-message.ts';

it('keeps the text of a CUDA failure, without signatures and host name', () => {
  // From onnxruntime 1.30.0 with its CUDA provider, with a driver that is too old.
  const message =
    '/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, void, common::Status> = void] CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=352 ; expr=cudaSetDevice(info_.device_id); ';
  expect(runtimeMessage(message)).toBe(
    'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version',
  );
  expect(runtimeMessage('Got invalid dimensions\nsecond line')).toBe('Got invalid dimensions');
});
