// SPDX-License-Identifier: GPL-3.0-or-later
// How fast this machine moves and multiplies numbers, and what share of that each codec reaches.
// All figures are medians of several runs on all of the job's threads, in units per second.
#pragma once
#include <cstddef>

#include "core/base/job.h"
#include "core/codec.h"

namespace bitloom {

// The machine's own speed: of its memory, and of our products on operands that stay in caches (what
// the arithmetic units could do at best lies above these).
struct Limits {
  double readBytes = 0;  // of a buffer beyond all caches
  double copyBytes = 0;  // of it, read and written
  double f32 = 0;        // operations: two for a multiply-add
  double bf16 = 0;       // on the matrix unit; 0: the processor has none
  double int8 = 0;
};
Result<Limits> measureLimits(JobContext& job);

struct CodecSpeed {
  double encode = 0;  // weights, without importances
  double decode = 0;  // weights, to floats
  double gemv = 0;    // bytes of packed weights, one token and `rows` rows
  double gemm = 0;    // operations, 512 tokens and 4096 rows
};

// On Gaussian weights, rows of 1024. As many rows as lie beyond all caches show what share of the
// memory's speed one token reaches.
Result<CodecSpeed> measureCodec(const Codec& codec, size_t rows, JobContext& job);

}  // namespace bitloom
