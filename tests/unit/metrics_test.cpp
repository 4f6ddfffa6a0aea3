// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <set>

#include "core/calibration.h"
#include "core/metric.h"
#include "core/recipe.h"
#include "tests/support/tiny_run.h"

namespace bitloom {

// Names instead of addresses in the output of parametrised tests.
static void PrintTo(const Metric* metric, std::ostream* out) { *out << metric->name; }

namespace {

using test::take;
using test::TinyModelOptions;
using test::TinyRun;

constexpr ProbeOptions kProbe = {.sequences = 4, .tokens = 12, .firstScored = 4};

// Statistics for every weight, column j of each counting j + 1.
Calibration rampCalibration(const Model& model) {
  Calibration calibration;
  for (const Tensor& tensor : model.tensors()) {
    TensorStatistics& statistics = calibration.tensors[tensor.name];
    statistics.tokens = 10;
    for (uint64_t j = 0; j < tensor.rowLength(); ++j) {
      statistics.sumSquares.push_back(10 * float(j + 1));
    }
  }
  calibration.hash = hashOf(calibration);
  return calibration;
}

// Everything any metric may ask for.
struct Scan {
  explicit Scan(TinyRun& tiny)
      : run(tiny),
        calibration(rampCalibration(*tiny.model())),
        tokens(tiny.randomTokens(48)),
        probe(take(LiveLoop::create(tiny.reference(), tokens, kProbe, tiny.job()))),
        task{.reference = tiny.reference(),
             .codecs = {findCodec("q8_0"), findCodec("q4_0")},
             .method = findMethod("nearest"),
             .calibration = &calibration,
             .probe = probe.get(),
             .tokens = tokens,
             .layout = kProbe,
             .known = {}} {}

  Result<void> measure(const Metric& metric) {
    return metric.measure(
        task,
        [this](const Cell& cell) -> Result<void> {
          cells.push_back(cell);
          return {};
        },
        run.job());
  }

  TinyRun& run;
  Calibration calibration;
  std::vector<TokenId> tokens;
  std::unique_ptr<LiveLoop> probe;
  MetricTask task;
  std::vector<Cell> cells;
};

class EveryMetric : public testing::TestWithParam<const Metric*> {
 protected:
  static bool isOneOf(std::initializer_list<std::string_view> names) {
    return std::count(names.begin(), names.end(), GetParam()->name) > 0;
  }
  static bool isFromGradientSamples() { return isOneOf({"fisher_sketch", "pair_interaction"}); }
  static bool isOnePass() {
    return isFromGradientSamples() || isOneOf({"hessian_trace", "task_circuit"});
  }
};
INSTANTIATE_TEST_SUITE_P(Shelf, EveryMetric, testing::ValuesIn(metrics().begin(), metrics().end()),
                         [](const auto& each) { return std::string(each.param->name); });

TEST_P(EveryMetric, MeasuresEachQuantizableTensorAtEachCodecOnce) {
  TinyRun run;
  Scan scan(run);
  const auto done = scan.measure(*GetParam());
  ASSERT_TRUE(done) << done.error().message;
  std::set<std::pair<std::string, std::string>> wanted;
  for (const Tensor& tensor : run.model()->tensors()) {
    if (!isQuantizable(tensor)) continue;
    for (const char* codec : {"q8_0", "q4_0"}) wanted.emplace(tensor.name, codec);
  }
  ASSERT_GT(wanted.size(), 20U);
  std::set<std::pair<std::string, std::string>> got;
  for (const Cell& cell : scan.cells) {
    EXPECT_TRUE(got.emplace(cell.tensor, cell.codec).second) << cell.tensor;
    EXPECT_EQ(cell.metric, GetParam()->name);
    const Tensor& tensor = *run.model()->find(cell.tensor);
    EXPECT_EQ(cell.bytes, tensor.weights() / 32 * (cell.codec == "q8_0" ? 34 : 18));
    EXPECT_GT(cell.value, 0) << cell.tensor;
    if (GetParam()->measured || isFromGradientSamples()) {
      EXPECT_GT(cell.error, 0);
    } else {
      EXPECT_EQ(cell.error, 0);
    }
  }
  EXPECT_EQ(got, wanted);
  const JobProgress progress = run.control().progress();
  // What measures all cells in one pass over the model tells blocks.
  EXPECT_EQ(progress.unit, isOnePass() ? "blocks" : "cells");
  EXPECT_EQ(progress.total, isOnePass() ? 5 : wanted.size());
  EXPECT_EQ(progress.done, progress.total);
}

TEST_P(EveryMetric, FewerBitsHurtMore) {
  TinyRun run;
  Scan scan(run);
  ASSERT_TRUE(scan.measure(*GetParam()));
  std::map<std::string, double> sums;
  for (const Cell& cell : scan.cells) sums[cell.codec] += cell.value;
  EXPECT_GT(sums["q4_0"], 10 * sums["q8_0"]);
}

TEST_P(EveryMetric, LeavesOutWhatIsKnown) {
  TinyRun run;
  Scan scan(run);
  scan.task.known = [](std::string_view tensor, std::string_view codec) {
    return tensor != "blk.1.ffn_up.weight" || codec != "q4_0";
  };
  ASSERT_TRUE(scan.measure(*GetParam()));
  ASSERT_EQ(scan.cells.size(), 1U);
  EXPECT_EQ(scan.cells[0].tensor, "blk.1.ffn_up.weight");
  EXPECT_EQ(scan.cells[0].codec, "q4_0");
  EXPECT_EQ(run.control().progress().total, isOnePass() ? 5 : 1U);
}

TEST_P(EveryMetric, AnErrorOfTheSinkEndsTheScan) {
  TinyRun run;
  Scan scan(run);
  int calls = 0;
  const auto done = GetParam()->measure(
      scan.task,
      [&](const Cell&) -> Result<void> {
        ++calls;
        return makeError(ErrorCode::Io, "The store is full.");
      },
      run.job());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "The store is full.");
  EXPECT_EQ(calls, 1);
}

TEST_P(EveryMetric, CancelKeepsTheCellsThatWereMeasured) {
  TinyRun run;
  Scan scan(run);
  const auto done = GetParam()->measure(
      scan.task,
      [&](const Cell& cell) -> Result<void> {
        scan.cells.push_back(cell);
        if (scan.cells.size() == 3) run.control().cancel();
        return {};
      },
      run.job());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::Cancelled);
  EXPECT_EQ(scan.cells.size(), 3U);
}

TEST_P(EveryMetric, SaysWhatItIsInWords) {
  EXPECT_FALSE(GetParam()->title.empty());
  EXPECT_GT(GetParam()->summary.size(), 60U);
  EXPECT_EQ(GetParam()->title.find("proxy") == std::string_view::npos, GetParam()->measured);
}

// The sums of both error metrics, written out.
double relativeError(const TinyRun& run, const char* name, const char* codecName, bool weighted) {
  const Tensor& tensor = *run.model()->find(name);
  const Codec& codec = *findCodec(codecName);
  std::vector<float> exact(tensor.weights());
  decodeRows(tensor, 0, tensor.rows(), exact.data());
  std::vector<std::byte> bytes(codec.rowBytes(tensor.rowLength()));
  std::vector<float> coded(tensor.rowLength());
  double error = 0;
  double energy = 0;
  for (size_t row = 0; row < tensor.rows(); ++row) {
    const std::span values(exact.data() + row * coded.size(), coded.size());
    codec.encode(values, {}, bytes);
    codec.decode(bytes, coded);
    for (size_t j = 0; j < coded.size(); ++j) {
      const double weight = weighted ? double(j + 1) : 1;
      error += weight * std::pow(double(values[j]) - double(coded[j]), 2);
      energy += weight * std::pow(double(values[j]), 2);
    }
  }
  return error / energy;
}

TEST(Metrics, ErrorsEqualThePlainSums) {
  TinyRun run;
  for (const bool weighted : {false, true}) {
    Scan scan(run);
    ASSERT_TRUE(scan.measure(*findMetric(weighted ? "output_error" : "weight_error")));
    size_t found = 0;
    for (const Cell& cell : scan.cells) {
      if (cell.tensor != "blk.0.ffn_down.weight") continue;
      const double wanted = relativeError(run, cell.tensor.c_str(), cell.codec.c_str(), weighted);
      EXPECT_NEAR(cell.value, wanted, 1e-9 * wanted) << cell.codec;
      ++found;
    }
    EXPECT_EQ(found, 2U);
  }
}

TEST(Metrics, KldCellEqualsTheLiveMeasurement) {
  TinyRun run;
  Scan scan(run);
  scan.task.codecs = {findCodec("q4_0")};
  ASSERT_TRUE(scan.measure(*findMetric("kld")));
  for (const Cell& cell : scan.cells) {
    const ProbeResult result = take(scan.probe->measureTensor(
        run.tensor(cell.tensor), *findCodec("q4_0"), *findMethod("nearest"), nullptr, run.job()));
    EXPECT_EQ(cell.value, result.kld.mean);
    EXPECT_EQ(cell.error, result.kld.error);
  }
}

TEST(Metrics, OutputErrorRefusesStatisticsOfAnotherModel) {
  TinyRun run;
  Scan scan(run);
  scan.calibration.tensors["token_embd.weight"].sumSquares.resize(7);
  const auto done = scan.measure(*findMetric("output_error"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message,
            "token_embd.weight: the calibration has 7 columns, the tensor 64.");
  scan.task.calibration = nullptr;
  EXPECT_FALSE(scan.measure(*findMetric("output_error")));
}

TEST(Metrics, ScanVisitsLowBitsFirstAndDepthsEvenly) {
  TinyModelOptions options;
  options.blocks = 5;
  TinyRun run(options);
  const Codec* const codecs[] = {findCodec("q8_0"), findCodec("q4_0")};
  const std::vector<CellKey> cells = scanCells(*run.model(), codecs);
  const size_t tensors = cells.size() / 2;
  std::vector<int> blocks;
  for (size_t i = 0; i < cells.size(); ++i) {
    EXPECT_EQ(cells[i].codec->name, i < tensors ? "q4_0" : "q8_0");
    const std::string& name = run.model()->tensors()[cells[i].tensor].name;
    if (i >= tensors || !name.starts_with("blk.")) continue;
    const int block = std::stoi(name.substr(4));
    if (blocks.empty() || blocks.back() != block) blocks.push_back(block);
  }
  EXPECT_EQ(blocks, (std::vector<int>{0, 4, 2, 1, 3}));
  EXPECT_FALSE(run.model()->tensors()[cells[0].tensor].name.starts_with("blk."));
}

TEST(Metrics, CodecsThatFallBackToTheSameOneAreOneCell) {
  TinyModelOptions options;
  options.feedForward = 172;  // rows of ffn_down that 32 does not divide
  TinyRun run(options);
  const Codec* const codecs[] = {findCodec("q8_0"), findCodec("q4_0")};
  size_t cellsOfDown = 0;
  for (const CellKey& cell : scanCells(*run.model(), codecs)) {
    const Tensor& tensor = run.model()->tensors()[cell.tensor];
    EXPECT_GT(cell.codec->rowBytes(tensor.rowLength()), 0U);
    if (tensor.name == "blk.0.ffn_down.weight") ++cellsOfDown;
  }
  EXPECT_EQ(cellsOfDown, 1U);
}

}  // namespace
}  // namespace bitloom
