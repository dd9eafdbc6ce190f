/**
 * What the CUDA provider needs of NVIDIA's libraries, and which packages bring them. The libraries it cannot be loaded
 * without are read from the provider itself; what is listed here is what its file does not tell.
 */

/** Needed by the provider of onnxruntime 1.30.0 (CUDA 13): what to look for while no provider is installed. */
export const USUALLY_NEEDED = [
  'libcublasLt.so.13',
  'libcublas.so.13',
  'libcurand.so.10',
  'libcudart.so.13',
  'libcuda.so.1',
];

/** Loaded by the provider at its first convolution, by name, so that its file does not list it. */
export const NEEDED_LATER = ['libcudnn.so.9'];

/** Loaded by the provider for operators that our graphs do not have, or by cuDNN to compile kernels: not required. */
export const OPTIONAL = ['libcufft.so.12', 'libnvrtc.so.13'];

/** The library of the NVIDIA driver: comes with the driver and never with a CUDA package. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** Oldest driver for CUDA 13. */
export const MINIMUM_DRIVER = 580;

/** Python packages that hold each library, at the versions that the provider's own package asks for. */
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

/** Whether the library is NVIDIA's, or one of the system's own (libc, libstdc++). */
export function isFromNvidia(library: string): boolean {
  return /^lib(cu|nv)/.test(library);
}
