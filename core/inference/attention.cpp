// SPDX-License-Identifier: GPL-3.0-or-later
// Three ways. In f32: the whole cache is read as floats, heads are products of matrices. On tiles
// (Measure, and longer runs of tokens in Chat): keys and values of a sequence are brought into
// tiles once for all heads that share them. One token at a time (Chat): over the cache's halves.
#include "core/inference/attention.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kQueryRun = 64;    // queries of one task: packing a key is paid once for so many
constexpr size_t kTileTokens = 16;  // of a segment, from which on tiles pay in Chat
constexpr size_t kSliceWork = size_t{1} << 30;  // multiply-adds between two looks at the job

enum class Way { Floats, Tiles, OneToken };

// Where keys and values of one segment's whole sequence lie.
struct Sequence {
  Way way = Way::Floats;
  const float* keys = nullptr;    // positions × kvHeads·headWidth
  const float* values = nullptr;  // positions × kvHeads·valueWidth
  std::vector<float> cachedKeys;
  std::vector<float> cachedValues;
  size_t positions = 0;
  size_t keyBytes = 0;  // of the tiles of one head
  size_t valueBytes = 0;
  std::vector<uint8_t> tiles;  // kvHeads × (keys, values)
};

struct Task {
  size_t segment;
  size_t row;       // of the first query in the matrices
  size_t position;  // of the first query in its sequence
  size_t count;
  size_t head;  // of queries; of keys in the way of one token
};

struct Pass {
  const Op& op;
  const AttentionInputs& inputs;
  std::span<const Segment> segments;
  size_t parts;  // of tiles
  Matrix& output;
  std::vector<Sequence> sequences;

  size_t group() const { return op.heads / op.kvHeads; }
};

// Buffers of a thread, kept for its life: a fresh block of this size would cost more than a
// softmax.
template <typename T>
T* threadScratch(size_t count) {
  static thread_local std::vector<T> scratch;
  if (scratch.size() < count) scratch.resize(count);
  return scratch.data();
}

Way chooseWay(const Segment& segment, Precision precision) {
  if (precision == Precision::Exact) return Way::Floats;
  const bool tiles = cpuKernels().tiles != nullptr;
  if (precision == Precision::Measure) return tiles ? Way::Tiles : Way::Floats;
  if (segment.tokens >= kTileTokens) return tiles ? Way::Tiles : Way::Floats;
  const bool halves = segment.cache != nullptr && segment.cache->format() == KvFormat::F16;
  return halves ? Way::OneToken : Way::Floats;
}

void gatherSequences(Pass& pass, Precision precision) {
  pass.sequences.resize(pass.segments.size());
  size_t row = 0;
  for (size_t i = 0; i < pass.segments.size(); ++i) {
    const Segment& segment = pass.segments[i];
    Sequence& sequence = pass.sequences[i];
    sequence.way = chooseWay(segment, precision);
    sequence.keys = pass.inputs.keys.row(row);
    sequence.values = pass.inputs.values.row(row);
    sequence.positions = segment.firstPosition + segment.tokens;
    row += segment.tokens;
    if (segment.cache == nullptr) continue;
    segment.cache->write(pass.op.block, segment.firstPosition, segment.tokens, sequence.keys,
                         sequence.values);
    if (sequence.way == Way::OneToken) continue;
    segment.cache->read(pass.op.block, segment.firstPosition + segment.tokens, sequence.cachedKeys,
                        sequence.cachedValues);
    sequence.keys = sequence.cachedKeys.data();
    sequence.values = sequence.cachedValues.data();
  }
}

uint8_t* tilesOf(Sequence& sequence, size_t kvHead) {
  return sequence.tiles.data() + kvHead * (sequence.keyBytes + sequence.valueBytes);
}

void packTiles(Pass& pass, JobContext& job) {
  const Op& op = pass.op;
  std::vector<size_t> packed;  // segments
  for (size_t i = 0; i < pass.sequences.size(); ++i) {
    Sequence& sequence = pass.sequences[i];
    if (sequence.way != Way::Tiles) continue;
    const TileKernels& tiles = *cpuKernels().tiles;
    sequence.keyBytes = tiles.keyBytes(sequence.positions, op.headWidth, pass.parts);
    sequence.valueBytes = tiles.valueBytes(sequence.positions, op.valueWidth, pass.parts);
    sequence.tiles.resize(op.kvHeads * (sequence.keyBytes + sequence.valueBytes));
    packed.push_back(i);
  }
  job.parallelFor(packed.size() * op.kvHeads, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      Sequence& sequence = pass.sequences[packed[i / op.kvHeads]];
      const size_t kvHead = i % op.kvHeads;
      uint8_t* to = tilesOf(sequence, kvHead);
      cpuKernels().tiles->packContext({.keys = sequence.keys + kvHead * op.headWidth,
                                       .keyStride = pass.inputs.keys.cols,
                                       .values = sequence.values + kvHead * op.valueWidth,
                                       .valueStride = pass.inputs.values.cols,
                                       .positions = sequence.positions,
                                       .headWidth = op.headWidth,
                                       .valueWidth = op.valueWidth,
                                       .parts = pass.parts,
                                       .keyTiles = to,
                                       .valueTiles = to + sequence.keyBytes});
    }
  });
}

std::vector<Task> cutTasks(const Pass& pass) {
  std::vector<Task> tasks;
  size_t row = 0;
  for (size_t i = 0; i < pass.segments.size(); ++i) {
    const Segment& segment = pass.segments[i];
    const bool single = pass.sequences[i].way == Way::OneToken;
    const size_t run = single ? 1 : kQueryRun;
    for (size_t first = 0; first < segment.tokens; first += run) {
      const size_t count = std::min<size_t>(run, segment.tokens - first);
      for (size_t head = 0; head < (single ? pass.op.kvHeads : pass.op.heads); ++head) {
        tasks.push_back({i, row + first, segment.firstPosition + first, count, head});
      }
    }
    row += segment.tokens;
  }
  return tasks;
}

void attendInFloats(Pass& pass, const Sequence& sequence, const Task& task) {
  const Op& op = pass.op;
  const size_t kvHead = task.head / pass.group();
  float* scratch = threadScratch<float>(task.count * (task.position + task.count));
  cpuKernels().attention({.queries = pass.inputs.queries.row(task.row) + task.head * op.headWidth,
                          .queryStride = pass.inputs.queries.cols,
                          .keys = sequence.keys + kvHead * op.headWidth,
                          .keyStride = pass.inputs.keys.cols,
                          .values = sequence.values + kvHead * op.valueWidth,
                          .valueStride = pass.inputs.values.cols,
                          .out = pass.output.row(task.row) + task.head * op.valueWidth,
                          .outStride = pass.output.cols,
                          .count = task.count,
                          .firstPosition = task.position,
                          .headWidth = op.headWidth,
                          .valueWidth = op.valueWidth,
                          .scale = op.factor,
                          .scratch = scratch});
}

void attendOnTiles(Pass& pass, Sequence& sequence, const Task& task) {
  const Op& op = pass.op;
  const TileKernels& tiles = *cpuKernels().tiles;
  const uint8_t* keys = tilesOf(sequence, task.head / pass.group());
  const size_t bytes = tiles.attendScratch(sequence.positions, op.headWidth, pass.parts);
  tiles.attend({.queries = pass.inputs.queries.row(task.row) + task.head * op.headWidth,
                .queryStride = pass.inputs.queries.cols,
                .keyTiles = keys,
                .valueTiles = keys + sequence.keyBytes,
                .positions = sequence.positions,
                .out = pass.output.row(task.row) + task.head * op.valueWidth,
                .outStride = pass.output.cols,
                .count = task.count,
                .firstPosition = task.position,
                .headWidth = op.headWidth,
                .valueWidth = op.valueWidth,
                .scale = op.factor,
                .parts = pass.parts,
                .scratch = threadScratch<uint8_t>(bytes)});
}

void attendOneToken(Pass& pass, const Task& task) {
  const Op& op = pass.op;
  const KvCache& cache = *pass.segments[task.segment].cache;
  const size_t group = pass.group();
  const size_t positions = task.position + 1;
  cpuKernels().attendOne(
      {.queries = pass.inputs.queries.row(task.row) + task.head * group * op.headWidth,
       .heads = group,
       .keys = cache.keyHalves(op.block) + task.head * op.headWidth,
       .keyStride = pass.inputs.keys.cols,
       .values = cache.valueHalves(op.block) + task.head * op.valueWidth,
       .valueStride = pass.inputs.values.cols,
       .positions = positions,
       .headWidth = op.headWidth,
       .valueWidth = op.valueWidth,
       .scale = op.factor,
       .out = pass.output.row(task.row) + task.head * group * op.valueWidth,
       .scores = threadScratch<float>(group * positions)});
}

void runTask(Pass& pass, const Task& task) {
  Sequence& sequence = pass.sequences[task.segment];
  switch (sequence.way) {
    case Way::Floats:
      return attendInFloats(pass, sequence, task);
    case Way::Tiles:
      return attendOnTiles(pass, sequence, task);
    case Way::OneToken:
      return attendOneToken(pass, task);
  }
}

}  // namespace

Result<void> attend(const Op& op, const AttentionInputs& inputs, std::span<const Segment> segments,
                    Precision precision, Matrix& output, JobContext& job) {
  Pass pass{.op = op,
            .inputs = inputs,
            .segments = segments,
            .parts = precision == Precision::Chat ? size_t{1} : size_t{2},
            .output = output,
            .sequences = {}};
  gatherSequences(pass, precision);
  packTiles(pass, job);
  const std::vector<Task> tasks = cutTasks(pass);
  size_t longest = 1;
  for (const Task& task : tasks) longest = std::max(longest, task.position + task.count);
  const size_t taskWork = longest * kQueryRun * (op.headWidth + op.valueWidth);
  const size_t slice = std::max<size_t>(1, kSliceWork / taskWork);
  for (size_t first = 0; first < tasks.size(); first += slice) {
    TRY(job.checkpoint());
    job.parallelFor(std::min(slice, tasks.size() - first), 1, [&](size_t begin, size_t end) {
      for (size_t i = first + begin; i < first + end; ++i) runTask(pass, tasks[i]);
    });
  }
  return {};
}

}  // namespace bitloom
