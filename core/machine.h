// SPDX-License-Identifier: GPL-3.0-or-later
// What the machine has: for "fit my machine", cache sizes and the doctor.
#pragma once
#include <cstdint>
#include <string>

namespace bitloom {

struct Machine {
  std::string cpu;     // model name
  std::string target;  // instruction set that the kernels use: "scalar", "avx2", "avx512"
  int cores = 1;
  uint64_t memoryBytes = 0;
  uint64_t availableBytes = 0;  // can be taken without swapping, now
};

Machine inspectMachine();

// Peak resident memory of this process so far.
uint64_t peakMemoryBytes();

}  // namespace bitloom
