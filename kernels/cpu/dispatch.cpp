// SPDX-License-Identifier: GPL-3.0-or-later
#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <cstring>

#include "kernels/cpu/kernels.h"

namespace bitloom {

extern const CpuKernels kScalarKernels;
#ifdef __x86_64__
extern const CpuKernels kAvx2Kernels;
extern const CpuKernels kAvx512Kernels;
extern const CpuKernels kAmxKernels;
#endif

namespace {

#ifdef __x86_64__
bool runsAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool runsAvx512() {
  return runsAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}

// Linux saves the tiles of those processes only that ask for them (Documentation/arch/x86/xstate).
bool askForTiles() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool runsAmx() {
  if (!runsAvx512() || !__builtin_cpu_supports("avx512bf16")) return false;
  constexpr unsigned kAmxBf16 = 1u << 22;
  constexpr unsigned kAmxTile = 1u << 24;
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  static const bool granted = (d & kAmxBf16) != 0 && (d & kAmxTile) != 0 && askForTiles();
  return granted;
}
#endif

const CpuKernels& best() {
#ifdef __x86_64__
  if (runsAmx()) return kAmxKernels;
  if (runsAvx512()) return kAvx512Kernels;
  if (runsAvx2()) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

const CpuKernels& choose() {
  const char* wanted = std::getenv("BITLOOM_CPU");
  const CpuKernels* found = wanted == nullptr ? nullptr : findCpuKernels(wanted);
  return found == nullptr ? best() : *found;
}

}  // namespace

const CpuKernels* findCpuKernels(const char* name) {
  if (std::strcmp(name, "scalar") == 0) return &kScalarKernels;
#ifdef __x86_64__
  if (std::strcmp(name, "avx2") == 0 && runsAvx2()) return &kAvx2Kernels;
  if (std::strcmp(name, "amx") == 0 && runsAmx()) return &kAmxKernels;
  if (std::strcmp(name, "avx512") == 0 && runsAvx512()) return &kAvx512Kernels;
#endif
  return nullptr;
}

const CpuKernels& cpuKernels() {
  static const CpuKernels& table = choose();
  return table;
}

}  // namespace bitloom
