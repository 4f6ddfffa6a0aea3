// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/cpu/elimination.h"

#include <cstring>

#include "kernels/cpu/kernels.h"

namespace bitloom {

extern const EliminationKernels kScalarElimination;
#ifdef __x86_64__
extern const EliminationKernels kAvx2Elimination;
extern const EliminationKernels kAvx512Elimination;
#endif

const EliminationKernels* findEliminationKernels(const char* cpu) {
  if (findCpuKernels(cpu) == nullptr) return nullptr;
#ifdef __x86_64__
  if (std::strcmp(cpu, "avx2") == 0) return &kAvx2Elimination;
  if (std::strcmp(cpu, "avx512") == 0 || std::strcmp(cpu, "amx") == 0) return &kAvx512Elimination;
#endif
  return &kScalarElimination;
}

namespace {

const EliminationKernels& chosen() {
  static const EliminationKernels& kernels = *findEliminationKernels(cpuKernels().name);
  return kernels;
}

}  // namespace

void eliminate(const Elimination<float>& task) { chosen().floats(task); }
void eliminate(const Elimination<double>& task) { chosen().doubles(task); }

}  // namespace bitloom
