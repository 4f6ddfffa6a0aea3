// SPDX-License-Identifier: GPL-3.0-or-later
// Round to nearest: every row by the codec's own encoder, all columns equally important.
#include "core/methods/nearest/encode_rows.h"

namespace bitloom {
namespace {

Result<Encoded> quantize(const QuantizeTask& task, JobContext& job) {
  return encodeRows(task, {}, job);
}

}  // namespace

extern const Method method_nearest;
const Method method_nearest{"nearest",
                            "Each row by the codec's own search, every column equally important.",
                            false, quantize};

}  // namespace bitloom
