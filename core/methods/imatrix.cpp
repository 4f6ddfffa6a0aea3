// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrix: the codec's search minimises Σ_j E[x_j²]·(w_j − ŵ_j)² instead of Σ_j (w_j −
// ŵ_j)², where x is what the weight is multiplied with on a calibration text. This is the expected
// squared output error when inputs are uncorrelated; llama.cpp calls the file of these sums an
// imatrix.
//
// An embedding table is read by row and has no inputs: it is encoded with equal weights.
#include "core/base/strings.h"
#include "core/calibration.h"
#include "core/methods/nearest/encode_rows.h"

namespace bitloom {
namespace {

Result<Encoded> quantize(const QuantizeTask& task, JobContext& job) {
  const Tensor& source = task.source;
  if (!task.statistics) {
    if (isEmbedding(source)) return encodeRows(task, {}, job);
    return makeError(ErrorCode::InvalidArgument, source.name,
                     ": method imatrix needs calibration statistics for this tensor, and the "
                     "calibration holds none.");
  }
  const std::vector<float> importance = task.statistics->importance();
  if (importance.size() != source.rowLength()) {
    return makeError(ErrorCode::InvalidArgument, source.name, ": the calibration has ",
                     importance.size(), " columns, but the tensor's rows have ", source.rowLength(),
                     ".");
  }
  return encodeRows(task, importance, job);
}

}  // namespace

extern const Method method_imatrix;
const Method method_imatrix{
    "imatrix", "Columns that see large inputs on a calibration text weigh more in the search.",
    true, quantize};

}  // namespace bitloom
