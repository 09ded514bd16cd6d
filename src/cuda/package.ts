/**
 * The package that set-up fetches: the official wheel of ONNX Runtime for GPUs of exactly the version of onnxruntime-node's runtime.
 *
 * It was run on a GPU with this binding (an H100, driver 580.159.04, CUDA 13.0), and so was another build of the same release, that of
 * the npm package com.github.asus4.onnxruntime.linux-x64-gpu 0.4.9.
 * (ONNX Runtime's NuGet package, which onnxruntime-node's own installer fetches, holds these two files as well, for CUDA 12 or 13
 * by release; set-up takes it as a local archive.)
 */
export interface FetchedFile {
  readonly url: string;
  /** Bytes. */
  readonly size: number;
  /** Of the whole file, in hexadecimal. */
  readonly sha256: string;
}

export const providerPackage: FetchedFile & { readonly name: string; readonly unpackedSize: number } = {
  name: 'onnxruntime_gpu-1.29.0-cp312-cp312-manylinux_2_28_x86_64.whl',
  url: 'https://files.pythonhosted.org/packages/87/7b/764082683bbc3b3351a3864ffb87be11aa13642913f78569fa72b934e319/onnxruntime_gpu-1.29.0-cp312-cp312-manylinux_2_28_x86_64.whl',
  size: 202_177_606,
  sha256: '8ccd052ca4de21b2a335f3503a283126163b6fab9dba29d1d9cbf3fa55c51d28',
  unpackedSize: 229_795_072,
};

/** SHA-256 of both libraries of a provider. */
export interface ProviderHashes {
  /** Of libonnxruntime_providers_shared.so. */
  readonly shared: string;
  /** Of libonnxruntime_providers_cuda.so. */
  readonly cuda: string;
}

/** Builds known to be of the pinned release: that of the wheel, and that of the npm package com.github.asus4.onnxruntime.linux-x64-gpu. */
export const knownProviders: readonly ProviderHashes[] = [
  {
    shared: '086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d',
    cuda: '833d827e5de8030e541ccf6345f1a3e07c53ae9f3302930a1273035dd665e969',
  },
  {
    shared: 'c6a12593396095f5670160e284c35d1700b7708cf3037b7042e2a5200ccae772',
    cuda: '56cf3254b118ad837ccc4ed8f6d1b23504bbf7ef91b34cbc0b289cb7f10b3037',
  },
];
