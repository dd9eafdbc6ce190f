/**
 * The NVIDIA libraries that the CUDA provider needs, and the packages that contain them. The libraries required for
 * loading are read from the provider file; this lists what the file does not tell.
 */

/**
 * Libraries needed by the provider of onnxruntime 1.30.0 (CUDA 13): what to look for while no provider is installed.
 */
export const USUALLY_NEEDED = [
  'libcublasLt.so.13',
  'libcublas.so.13',
  'libcurand.so.10',
  'libcudart.so.13',
  'libcuda.so.1',
];

/** Loaded by the provider by name at its first convolution, so not listed in its file. */
export const NEEDED_LATER = ['libcudnn.so.9'];

/** Loaded by the provider for operators that our graphs do not use, or by cuDNN to compile kernels: not required. */
export const OPTIONAL = ['libcufft.so.12', 'libnvrtc.so.13'];

/** Reported only. */
export const TENSOR_RT = 'libnvinfer.so.10';

/** The library of the NVIDIA driver, which is never part of a CUDA package. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** Oldest driver for CUDA 13. */
export const MINIMUM_DRIVER = 580;

/** Python packages that contain each library, in the versions required by the provider's own package. */
const PACKAGES: Readonly<Record<string, string>> = {
  'libcublas.so.13': 'nvidia-cublas~=13.0',
  'libcublasLt.so.13': 'nvidia-cublas~=13.0',
  'libcudart.so.13': 'nvidia-cuda-runtime~=13.0',
  'libcudnn.so.9': 'nvidia-cudnn-cu13~=9.0',
  'libcufft.so.12': 'nvidia-cufft~=12.0',
  'libcurand.so.10': 'nvidia-curand~=10.0',
  'libnvrtc.so.13': 'nvidia-cuda-nvrtc~=13.0',
};

export function packageOf(library: string): string | undefined {
  return PACKAGES[library];
}

/** Whether a library is NVIDIA's, rather than one of the system's (libc, libstdc++). */
export function isFromNvidia(library: string): boolean {
  return /^lib(cu|nv)/.test(library);
}
