// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/attention.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kQueryRun = 64;  // queries of one task: packing a key is paid once for so many
constexpr size_t kSliceWork = size_t{1} << 30;  // multiply-adds between two looks at the job

// Where keys and values of one segment's whole sequence lie.
struct Sequence {
  const float* keys = nullptr;    // positions × kvHeads·headWidth
  const float* values = nullptr;  // positions × kvHeads·valueWidth
  std::vector<float> cachedKeys;
  std::vector<float> cachedValues;
};

struct Task {
  size_t segment;
  size_t row;       // of the first query in the matrices
  size_t position;  // of the first query in its sequence
  size_t count;
  size_t head;
};

std::vector<Sequence> gatherSequences(const Op& op, const AttentionInputs& inputs,
                                      std::span<const Segment> segments) {
  std::vector<Sequence> sequences(segments.size());
  size_t row = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    Sequence& sequence = sequences[i];
    sequence.keys = inputs.keys.row(row);
    sequence.values = inputs.values.row(row);
    row += segment.tokens;
    if (segment.cache == nullptr) continue;
    segment.cache->write(op.block, segment.firstPosition, segment.tokens, sequence.keys,
                         sequence.values);
    segment.cache->read(op.block, segment.firstPosition + segment.tokens, sequence.cachedKeys,
                        sequence.cachedValues);
    sequence.keys = sequence.cachedKeys.data();
    sequence.values = sequence.cachedValues.data();
  }
  return sequences;
}

std::vector<Task> cutTasks(const Op& op, std::span<const Segment> segments) {
  std::vector<Task> tasks;
  size_t row = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    for (size_t first = 0; first < segments[i].tokens; first += kQueryRun) {
      const size_t count = std::min<size_t>(kQueryRun, segments[i].tokens - first);
      for (size_t head = 0; head < op.heads; ++head) {
        tasks.push_back({i, row + first, segments[i].firstPosition + first, count, head});
      }
    }
    row += segments[i].tokens;
  }
  return tasks;
}

void runTask(const Op& op, const AttentionInputs& inputs, const Sequence& sequence,
             const Task& task, Matrix& output) {
  // Kept for the thread's life: a fresh block of this size would cost more than the softmax.
  static thread_local std::vector<float> scratch;
  const size_t needed = task.count * (task.position + task.count);
  if (scratch.size() < needed) scratch.resize(needed);
  const size_t kvHead = task.head / (op.heads / op.kvHeads);
  cpuKernels().attention({.queries = inputs.queries.row(task.row) + task.head * op.headWidth,
                          .queryStride = inputs.queries.cols,
                          .keys = sequence.keys + kvHead * op.headWidth,
                          .keyStride = inputs.keys.cols,
                          .values = sequence.values + kvHead * op.valueWidth,
                          .valueStride = inputs.values.cols,
                          .out = output.row(task.row) + task.head * op.valueWidth,
                          .outStride = output.cols,
                          .count = task.count,
                          .firstPosition = task.position,
                          .headWidth = op.headWidth,
                          .valueWidth = op.valueWidth,
                          .scale = op.factor,
                          .scratch = scratch.data()});
}

}  // namespace

Result<void> attend(const Op& op, const AttentionInputs& inputs, std::span<const Segment> segments,
                    Matrix& output, JobContext& job) {
  const std::vector<Sequence> sequences = gatherSequences(op, inputs, segments);
  const std::vector<Task> tasks = cutTasks(op, segments);
  size_t longest = 1;
  for (const Task& task : tasks) longest = std::max(longest, task.position + task.count);
  const size_t taskWork = longest * kQueryRun * (op.headWidth + op.valueWidth);
  const size_t slice = std::max<size_t>(1, kSliceWork / taskWork);
  for (size_t first = 0; first < tasks.size(); first += slice) {
    TRY(job.checkpoint());
    job.parallelFor(std::min(slice, tasks.size() - first), 1, [&](size_t begin, size_t end) {
      for (size_t i = first + begin; i < first + end; ++i) {
        runTask(op, inputs, sequences[tasks[i].segment], tasks[i], output);
      }
    });
  }
  return {};
}

}  // namespace bitloom
