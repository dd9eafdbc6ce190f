/** `install-cuda`: installs the CUDA provider, or only checks what CUDA needs. */
import { type CudaCheck, checkCuda } from '../inference/cuda/check.ts';
import { describeCheck } from '../inference/cuda/describe.ts';
import { installCuda } from '../inference/cuda/install.ts';

export interface InstallCudaArguments {
  readonly from?: string;
  readonly check?: boolean;
}

export interface InstallCudaResult extends CudaCheck {
  readonly changed: boolean;
}

/** @throws DEVICE_UNAVAILABLE, CUDA_PACKAGE_INVALID */
export async function installCudaCommand({ from, check }: InstallCudaArguments): Promise<InstallCudaResult> {
  if (check) return { changed: false, ...(await checkCuda()) };
  const installation = await installCuda({ from });
  return { changed: installation.changed, ...installation.check };
}

export function describeInstallation(result: InstallCudaResult): string {
  return result.changed
    ? `The CUDA provider was installed.\n\n${describeCheck(result)}`
    : describeCheck(result);
}
