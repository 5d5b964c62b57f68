/* The functions of NVIDIA's driver that are asked, for four devices that do not exist. NVIDIA_FAKE_INIT: what both libraries
   answer at first; NVIDIA_FAKE_CUDA: the version of CUDA that the driver is good for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise) {
  const char *value = getenv(name);
  return value ? atoi(value) : otherwise;
}

/* libnvidia-ml */
int nvmlInit_v2(void) { return number("NVIDIA_FAKE_INIT", 0); }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Invalid Argument"; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  *device = (void *)(unsigned long)(index + 1);
  return index < 4 ? 0 : 2;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) { return 2; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
  snprintf(name, length, "Fake %lu", (unsigned long)device - 1);
  return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *told) {
  told[0] = 80000000000ull;
  told[2] = (unsigned long)device * 1000000000ull;
  told[1] = told[0] - told[2];
  return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, unsigned *told) {
  told[0] = 10 + (unsigned long)device - 1;
  told[1] = 1;
  return 0;
}

/* libcuda */
int cuInit(unsigned flags) { return number("NVIDIA_FAKE_INIT", 0); }
int cuGetErrorString(int code, const char **text) {
  *text = "no CUDA-capable device is detected";
  return 0;
}
int cuDriverGetVersion(int *version) {
  *version = number("NVIDIA_FAKE_CUDA", 12040);
  return 0;
}
int cuDeviceGetCount(int *count) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  *count = visible && *visible && *visible != '-' ? 1 : 0;
  for (; visible && *visible; visible++) *count += *visible == ',';
  return 0;
}
