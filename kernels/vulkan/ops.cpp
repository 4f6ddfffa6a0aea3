// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/vulkan/ops.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/vulkan/rows.h"
#include "kernels/vulkan/shaders.h"

namespace bitloom::vulkan {
namespace {

constexpr uint32_t kFewTokens = 8;  // up to which weights are read once and decoded for each lane
constexpr uint64_t kSliceLimit = uint64_t{1} << 30;
constexpr double kAttentionCost = 2;  // of a multiply-add, with its share of the softmax
constexpr double kElementwiseCost = 4;

uint32_t ceilDivide(uint64_t value, uint64_t by) { return uint32_t((value + by - 1) / by); }

// A line of groups as a plane, since a dimension has a limit.
std::array<uint32_t, 3> plane(uint64_t groups) {
  const uint32_t down = std::max(1u, ceilDivide(groups, kMostGroups));
  return {ceilDivide(groups, down), down, 1};
}

// Shapes of products for one kind of device: threads are 32 × groups.
struct ProductShape {
  uint32_t groups;
  uint32_t tokens;
  uint32_t panels;
};

struct ProductPush {
  uint32_t columns;
  uint32_t parts;
  uint32_t rowWords;
  uint32_t rows;
  uint32_t outputStride;
  uint32_t firstOutput;
  uint32_t firstToken;
  uint32_t endToken;
};

}  // namespace

bool hasShaders(std::string_view codec) {
  return findShader("embed." + std::string(codec)) != nullptr;
}

uint64_t uploadedBytes(uint64_t rows, uint64_t rowLength, uint64_t rowBytes) {
  return ceilDivide(rows, kRowsOfPanel) * panelBytes(rowWords(rowBytes, rowLength));
}

bool hasEncoder(std::string_view codec) {
  return findShader("encode." + std::string(codec)) != nullptr;
}

// TQ's search tries 17 scales, each against eight levels, and refines two.
double encodeWork(std::string_view codec) { return codec.starts_with("tq") ? 400 : 10; }

Result<Weights> makeWeights(Device& device, std::string_view codec, uint64_t rows,
                            uint64_t rowLength, uint64_t rowBytes) {
  Weights weights{.codec = std::string(codec),
                  .rows = rows,
                  .rowLength = rowLength,
                  .rowWords = rowWords(rowBytes, rowLength)};
  const uint64_t each = panelBytes(weights.rowWords);
  const uint64_t most = std::min(device.info().storageRange, kSliceLimit) / each;
  if (most == 0) {
    return Error{ErrorCode::Unsupported, device.info().name + " cannot hold rows of " +
                                             std::to_string(rowLength) + " weights."};
  }
  const uint64_t count = ceilDivide(rows, kRowsOfPanel);
  for (uint64_t first = 0; first < count; first += most) {
    const uint64_t here = std::min(most, count - first);
    Weights::Slice& slice = weights.slices.emplace_back();
    slice.firstRow = first * kRowsOfPanel;
    slice.rows = std::min(here * kRowsOfPanel, rows - slice.firstRow);
    TRY(slice.panels, device.allocate(here * each));
  }
  return weights;
}

Result<Weights> upload(Device& device, std::string_view codec, const uint8_t* bytes, uint64_t rows,
                       uint64_t rowLength, uint64_t rowBytes) {
  TRY(Weights weights, makeWeights(device, codec, rows, rowLength, rowBytes));
  constexpr uint64_t kPanelsAtOnce = 64;
  const uint64_t each = panelBytes(weights.rowWords);
  std::vector<uint32_t> panels;
  for (const Weights::Slice& slice : weights.slices) {
    const uint64_t count = ceilDivide(slice.rows, kRowsOfPanel);
    for (uint64_t at = 0; at < count; at += kPanelsAtOnce) {
      const uint64_t some = std::min(kPanelsAtOnce, count - at);
      panels.resize(some * each / sizeof(uint32_t));
      for (uint64_t i = 0; i < some; ++i) {
        const uint64_t row = slice.firstRow + (at + i) * kRowsOfPanel;
        packPanel(bytes + row * rowBytes, rowBytes, std::min(kRowsOfPanel, rows - row),
                  weights.rowWords, panels.data() + i * each / sizeof(uint32_t));
      }
      TRY(device.write(slice.panels, at * each, panels.data(), some * each));
    }
  }
  return weights;
}

Result<void> Ops::multiplySlice(const Weights& weights, const Weights::Slice& slice,
                                const Buffer& input, uint32_t tokens, const Buffer* bias,
                                const Buffer& output) {
  const bool spread = m_device.spreads();
  const bool few = tokens <= kFewTokens;
  // Software devices take long to compile what is unrolled for many tokens.
  const bool software = m_device.info().kind == DeviceKind::Cpu;
  ProductShape shape = spread ? ProductShape{1, 4, 1} : ProductShape{4, software ? 4u : 32u, 1};
  if (few) shape = {spread ? 1u : 8u, tokens, spread && tokens <= 2 ? 4u : 1u};
  const std::string shader =
      std::string(few ? "gemv" : "gemm") + (spread ? "_spread." : ".") + weights.codec;
  const uint32_t panels = ceilDivide(slice.rows, kRowsOfPanel);
  const uint32_t across = ceilDivide(panels, (few ? 1 : shape.groups) * shape.panels);
  // Tokens of one dispatch, a multiple of the shape's: no dispatch takes longer than a submission.
  const double workOfToken = double(slice.rows) * double(weights.rowLength);
  const double most =
      std::max(1.0, std::floor(m_device.submissionWork() / workOfToken / double(shape.tokens)));
  const uint32_t step = uint32_t(std::min(most, double(kMostGroups))) * shape.tokens;
  for (uint32_t first = 0; first < tokens; first += step) {
    const uint32_t count = std::min(step, tokens - first);
    const ProductPush push{.columns = uint32_t(weights.rowLength),
                           .parts = uint32_t(partsOf(weights.rowLength)),
                           .rowWords = uint32_t(weights.rowWords),
                           .rows = uint32_t(slice.rows),
                           .outputStride = uint32_t(weights.rows),
                           .firstOutput = uint32_t(slice.firstRow),
                           .firstToken = first,
                           .endToken = first + count};
    TRY(m_recording.add({.shader = shader,
                         .constants = {shape.groups, shape.tokens, shape.panels, bias != nullptr,
                                       weights.rowLength % kPartWeights == 0},
                         .bindings = {{&slice.panels},
                                      {&input},
                                      {&output, true},
                                      {bias != nullptr ? bias : &input}},
                         .push = pushOf(push),
                         .groups = {across, few ? 1 : ceilDivide(count, shape.tokens), 1},
                         .work = workOfToken * count}));
  }
  return {};
}

Result<void> Ops::linear(const Weights& weights, const Buffer& input, uint32_t tokens,
                         const Buffer* bias, const Buffer& output) {
  for (const Weights::Slice& slice : weights.slices) {
    TRY(multiplySlice(weights, slice, input, tokens, bias, output));
  }
  return {};
}

Result<void> Ops::embed(const Weights& weights, const Buffer& indices, uint32_t tokens,
                        const Buffer& output) {
  struct Push {
    uint32_t columns, parts, rowWords, firstRow, rows;
  };
  for (const Weights::Slice& slice : weights.slices) {
    const uint32_t parts = uint32_t(partsOf(weights.rowLength));
    const Push push{uint32_t(weights.rowLength), parts, uint32_t(weights.rowWords),
                    uint32_t(slice.firstRow), uint32_t(slice.rows)};
    TRY(m_recording.add({.shader = "embed." + weights.codec,
                         .bindings = {{&slice.panels}, {&indices}, {&output, true}},
                         .push = pushOf(push),
                         .groups = {ceilDivide(parts, 32), tokens, 1},
                         .work = double(tokens) * double(weights.rowLength) * kElementwiseCost}));
  }
  return {};
}

Result<void> Ops::rotate(const Buffer& input, uint64_t count, const Buffer& output) {
  const uint32_t runs = uint32_t(count / kPartWeights);
  return m_recording.add({.shader = "rotate",
                          .bindings = {{&input}, {}, {&output, true}},
                          .push = pushOf(runs),
                          .groups = plane(ceilDivide(runs, 32)),
                          .work = double(count) * kElementwiseCost});
}

Result<void> Ops::norm(const Buffer& input, const Buffer& weight, uint32_t width, uint64_t count,
                       float epsilon, const Buffer& output) {
  struct Push {
    uint32_t width, count;
    float epsilon;
  };
  const Push push{width, uint32_t(count), epsilon};
  const uint32_t threads = m_device.spreads() ? 8 : 64;
  return m_recording.add({.shader = "rms_norm",
                          .constants = {threads},
                          .bindings = {{&input}, {&weight}, {&output, true}},
                          .push = pushOf(push),
                          .groups = plane(count),
                          .work = double(count) * double(width) * kElementwiseCost});
}

Result<void> Ops::rope(const Rope& task) {
  struct Push {
    uint32_t heads, headWidth, pairs;
  };
  const Push push{task.heads, task.headWidth, task.pairs};
  const uint32_t threads = task.heads * (task.headWidth - task.pairs);
  return m_recording.add(
      {.shader = "rope",
       .constants = {task.adjacent},
       .bindings = {{task.input}, {task.table}, {task.output, true}, {task.positions}},
       .push = pushOf(push),
       .groups = {ceilDivide(threads, 64), task.rows, 1},
       .work = double(task.rows) * threads * kElementwiseCost});
}

Result<void> Ops::elementwise(Elementwise kind, const Buffer& left, const Buffer* right,
                              uint64_t count, float factor, const Buffer& output) {
  struct Push {
    uint32_t count;
    float factor;
  };
  const Push push{uint32_t(count), factor};
  return m_recording.add(
      {.shader = "elementwise",
       .constants = {uint32_t(kind)},
       .bindings = {{&left}, {right == nullptr ? &left : right}, {&output, true}},
       .push = pushOf(push),
       .groups = plane(ceilDivide(count, 128)),
       .work = double(count) * kElementwiseCost});
}

Result<void> Ops::gather(const Buffer& input, uint32_t columns, const Buffer& indices,
                         uint32_t rows, const Buffer& output) {
  return m_recording.add({.shader = "gather",
                          .bindings = {{&input}, {&indices}, {&output, true}},
                          .push = pushOf(columns),
                          .groups = {ceilDivide(columns, 64), rows, 1},
                          .work = double(rows) * columns});
}

uint64_t cacheBytes(CacheFormat format, uint64_t values) {
  switch (format) {
    case CacheFormat::Halves:
      return values * 2;
    case CacheFormat::Bytes:
      return values / 32 * 36;
    case CacheFormat::Floats:
      break;
  }
  return values * 4;
}

Result<void> Ops::keep(const Buffer& input, uint32_t width, const Buffer& positions, uint32_t first,
                       uint32_t count, CacheFormat format, const Buffer& cache) {
  struct Push {
    uint32_t width, firstRow;
  };
  const Push push{width, first};
  return m_recording.add({.shader = "keep",
                          .constants = {uint32_t(format)},
                          .bindings = {{&input}, {&positions}, {&cache, true}},
                          .push = pushOf(push),
                          .groups = {ceilDivide(width, 32 * 64), count, 1},
                          .work = double(count) * width});
}

uint32_t attentionRows(uint32_t heads, uint32_t keyHeads) {
  constexpr uint32_t kQueries = 8;
  return std::max(1u, kQueries / (heads / keyHeads));
}

namespace {

constexpr uint32_t kEnoughGroups = 256;   // of a GPU's hundred or so units, twice over
constexpr uint32_t kFewestOfShare = 128;  // positions
constexpr uint32_t kMostShares = 32;

uint32_t attentionQueries(const Attention& task) {
  return attentionRows(task.heads, task.keyHeads) * (task.heads / task.keyHeads);
}

}  // namespace

uint32_t attentionSplits(const Device& device, const Attention& task, uint32_t most) {
  if (device.spreads()) return 1;
  const uint32_t groups = task.keyHeads * std::max(1u, task.tileCount);
  const uint32_t useful = std::min({kEnoughGroups / groups, most / kFewestOfShare, kMostShares});
  return std::max(1u, useful);
}

uint64_t attentionShareBytes(const Attention& task) {
  return uint64_t(task.tileCount) * task.keyHeads * task.splits * attentionQueries(task) *
         (task.valueWidth + 2) * sizeof(float);
}

Result<void> Ops::attend(const Attention& task) {
  struct Push {
    uint32_t heads, keyHeads, valueWidth;
    float scale;
    uint32_t firstTile;
  };
  const uint32_t threads = 32;
  const uint32_t queries = attentionQueries(task);
  const bool split = task.splits > 1;
  const double tileWork = double(queries) * task.keyHeads * task.positions *
                          (task.headWidth + task.valueWidth) * kAttentionCost;
  const double most = std::max(1.0, m_device.submissionWork() / std::max(1.0, tileWork));
  const uint32_t step = uint32_t(std::min(most, double(kMostGroups)));
  for (uint32_t first = 0; first < task.tileCount; first += step) {
    const uint32_t count = std::min(step, task.tileCount - first);
    const Push push{task.heads, task.keyHeads, task.valueWidth, task.scale, task.firstTile + first};
    TRY(m_recording.add({.shader = "attention",
                         .constants = {threads, queries, uint32_t(task.format), task.headWidth,
                                       ceilDivide(task.valueWidth, threads), split},
                         .bindings = {{task.queries},
                                      {task.keys},
                                      {task.values},
                                      {split ? task.shares : task.output, true},
                                      {task.tiles}},
                         .push = pushOf(push),
                         .groups = {task.keyHeads, count, task.splits},
                         .work = tileWork * count}));
    if (split) {
      TRY(mergeShares(task, task.firstTile + first, count));
    }
  }
  return {};
}

Result<void> Ops::mergeShares(const Attention& task, uint32_t firstTile, uint32_t count) {
  struct Push {
    uint32_t heads, keyHeads, valueWidth, splits, firstTile;
  };
  const Push push{task.heads, task.keyHeads, task.valueWidth, task.splits, firstTile};
  const uint32_t queries = attentionQueries(task);
  return m_recording.add({.shader = "attention_merge",
                          .constants = {queries},
                          .bindings = {{task.shares}, {task.tiles}, {task.output, true}},
                          .push = pushOf(push),
                          .groups = {task.keyHeads, count, 1},
                          .work = double(count) * task.splits * queries * task.keyHeads *
                                  task.valueWidth * kElementwiseCost});
}

namespace {

constexpr uint32_t kTopRun = 2048;  // values of which one workgroup keeps the largest

}  // namespace

Result<Top> makeTop(Device& device, uint32_t vocabulary, uint32_t count) {
  Top top{.count = std::min({count, vocabulary, kMostTop})};
  top.runs = ceilDivide(vocabulary, kTopRun);
  for (size_t i = 0; i < 2; ++i) {
    TRY(top.values[i], device.allocate(uint64_t(top.runs) * top.count * sizeof(float)));
    TRY(top.ids[i], device.allocate(uint64_t(top.runs) * top.count * sizeof(uint32_t)));
  }
  TRY(top.sums, device.allocate(uint64_t(top.runs) * 2 * sizeof(float)));
  return top;
}

Result<void> Ops::top(const Buffer& logits, uint32_t vocabulary, Top& top) {
  const uint32_t threads = m_device.spreads() ? 8 : 64;
  const Buffer* values = &logits;
  const Buffer* ids = &top.ids[1];  // not read at first
  uint32_t left = vocabulary;
  for (bool first = true;; first = false) {
    const uint32_t runs = ceilDivide(left, kTopRun);
    top.last = first ? 0 : 1 - top.last;
    TRY(m_recording.add({.shader = "top_k",
                         .constants = {threads, top.count, first, kTopRun / threads},
                         .bindings = {{values},
                                      {ids},
                                      {&top.values[top.last], true},
                                      {&top.ids[top.last], true},
                                      {&top.sums, true}},
                         .push = pushOf(left),
                         .groups = {runs, 1, 1},
                         .work = double(runs) * top.count * (kTopRun / threads) * 32}));
    if (runs == 1) return {};
    values = &top.values[top.last];
    ids = &top.ids[top.last];
    left = runs * top.count;
  }
}

Result<void> Ops::divergence(const Buffer& logits, uint32_t rows, uint32_t columns,
                             const Buffer& reference, const Buffer& sums, uint32_t firstRow,
                             const Buffer& output) {
  struct Push {
    uint32_t columns, firstRow, firstReference;
  };
  const double workOfRow = double(columns) * 10 * kElementwiseCost;
  const uint32_t step =
      uint32_t(std::clamp(m_device.submissionWork() / workOfRow, 1.0, double(kMostGroups)));
  for (uint32_t first = 0; first < rows; first += step) {
    const uint32_t count = std::min(step, rows - first);
    const Push push{columns, first, firstRow + first};
    TRY(m_recording.add({.shader = "divergence",
                         .constants = {m_device.spreads() ? 8u : 64u},
                         .bindings = {{&logits}, {&reference}, {&sums}, {&output, true}},
                         .push = pushOf(push),
                         .groups = {count, 1, 1},
                         .work = workOfRow * count}));
  }
  return {};
}

Result<void> Ops::encode(const Buffer& floats, uint32_t rows, uint64_t firstRow, const Weights& to,
                         const Buffer& damage) {
  struct Push {
    uint32_t columns, parts, rowWords, rows, firstPanel;
  };
  const auto slice = std::find_if(to.slices.begin(), to.slices.end(), [&](const auto& each) {
    return firstRow < each.firstRow + each.rows;
  });
  CHECK(slice != to.slices.end() && firstRow % kRowsOfPanel == 0);
  CHECK(firstRow + rows <= slice->firstRow + slice->rows);
  const uint32_t parts = uint32_t(partsOf(to.rowLength));
  const Push push{uint32_t(to.rowLength), parts, uint32_t(to.rowWords), rows,
                  uint32_t((firstRow - slice->firstRow) / kRowsOfPanel)};
  // Blocks that end inside a word are written by twos.
  const uint32_t each = to.codec == "tq3_1s" ? 1 : 2;
  return m_recording.add({.shader = "encode." + to.codec,
                          .bindings = {{&floats}, {&slice->panels, true}, {&damage, true}},
                          .push = pushOf(push),
                          .groups = {ceilDivide(rows, kRowsOfPanel), ceilDivide(parts, each), 1},
                          .work = double(rows) * double(to.rowLength) * encodeWork(to.codec)});
}

}  // namespace bitloom::vulkan
