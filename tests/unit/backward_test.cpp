// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "tests/support/paths.h"
#include "tests/support/small_transformer.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::SmallTransformer;
using test::SmallTransformerOptions;
using test::take;

constexpr size_t kTokens = 14;
constexpr size_t kProbes = 8;  // weights of each tensor that are moved

// The loss is Σ c·logit with fixed random c, so that its gradient is c itself.
class BackwardTest : public testing::Test {
 protected:
  void open(const SmallTransformerOptions& options) {
    m_transformer.emplace(options);
    const auto path = m_dir / "small.gguf";
    test::writeFile(path, m_transformer->ggufBytes());
    m_variant.emplace(take(Variant::create(take(Model::open(path)), m_cache)));
    m_variant->setPrecision(Precision::Exact);
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    m_tokens.clear();
    for (size_t i = 0; i < kTokens; ++i) m_tokens.push_back(int32_t(generator() % 50));
    m_factors = Matrix(kTokens, m_variant->graph().vocabulary);
    for (float& factor : m_factors.values) factor = normal(generator);
  }

  double loss() const {
    const auto logits = m_transformer->logits(m_tokens);
    double sum = 0;
    for (size_t i = 0; i < kTokens; ++i) {
      for (size_t j = 0; j < m_factors.cols; ++j) {
        sum += double(m_factors.row(i)[j]) * logits[i][j];
      }
    }
    return sum;
  }

  // Gradients by tensor; those of a tensor that two ops read are added up.
  std::map<std::string, Matrix> gradients(const std::vector<Segment>& segments, int threads = 2) {
    Workers workers(threads);
    JobControl control;
    JobContext job(workers, control);
    const auto& tensors = m_variant->model().tensors();
    std::map<std::string, Matrix> result;
    const auto add = [&](int tensor, const Matrix& part) {
      Matrix& sum = result[tensors[size_t(tensor)].name];
      if (sum.values.empty()) sum = Matrix(part.rows, part.cols);
      for (size_t i = 0; i < part.values.size(); ++i) sum.values[i] += part.values[i];
    };
    const GradientTap tap = [&](const OpGradient& gradient) -> Result<void> {
      EXPECT_EQ(gradient.outputGradient.rows, kTokens);
      if (gradient.op.weight != kNone) {
        add(gradient.op.weight, weightGradient(gradient, m_variant->graph(), job));
      }
      if (gradient.op.bias != kNone) add(gradient.op.bias, biasGradient(gradient));
      return {};
    };
    Forward forward(*m_variant);
    Backward backward(*m_variant);
    const int blocks = int(forward.graph().blocks);
    std::vector<Matrix> borders = {take(forward.embed(m_tokens, job))};
    for (int block = 0; block < blocks; ++block) {
      borders.push_back(borders.back());
      EXPECT_TRUE(forward.blocks(block, block + 1, borders.back(), segments, job));
    }
    std::vector<uint32_t> rows(kTokens);
    std::iota(rows.begin(), rows.end(), 0u);
    Matrix gradient(kTokens, forward.graph().width);
    const LogitsToGradient toFactors = [&](size_t first, Matrix& logits) -> Result<void> {
      std::copy_n(m_factors.row(first), logits.values.size(), logits.values.data());
      return {};
    };
    EXPECT_TRUE(backward.head(borders.back(), rows, toFactors, gradient, job, tap));
    for (int block = blocks; block-- > 0;) {
      EXPECT_TRUE(backward.block(block, borders[size_t(block)], segments, gradient, job, tap));
    }
    EXPECT_TRUE(backward.embed(m_tokens, gradient, job, tap));
    return result;
  }

  // Central differences of the oracle, in double precision.
  void expectOracle(const SmallTransformerOptions& options) {
    open(options);
    const auto found = gradients({{.tokens = kTokens}});
    std::mt19937 generator(11);
    size_t compared = 0;
    for (const Tensor& tensor : m_variant->model().tensors()) {
      if (tensor.name == "rope_freqs.weight") continue;  // a table, not a parameter
      ASSERT_TRUE(found.contains(tensor.name)) << tensor.name;
      std::vector<float>& values = m_transformer->values(tensor.name);
      ASSERT_EQ(found.at(tensor.name).values.size(), values.size()) << tensor.name;
      double difference = 0;
      double size = 0;
      for (size_t probe = 0; probe < kProbes; ++probe) {
        // Of an embedding, the row of a token that occurs.
        const size_t at = tensor.name == "token_embd.weight"
                              ? size_t(m_tokens[probe % kTokens]) * tensor.rowLength() +
                                    generator() % tensor.rowLength()
                              : generator() % values.size();
        const float kept = values[at];
        const float above = kept + 1e-3f;
        const float below = kept - 1e-3f;
        values[at] = above;
        const double upper = loss();
        values[at] = below;
        const double lower = loss();
        values[at] = kept;
        const double wanted = (upper - lower) / (double(above) - double(below));
        difference += std::pow(double(found.at(tensor.name).values[at]) - wanted, 2);
        size += wanted * wanted;
      }
      EXPECT_LT(std::sqrt(difference), 1e-3 * std::sqrt(size)) << tensor.name;
      EXPECT_GT(size, 0) << tensor.name;
      ++compared;
    }
    EXPECT_GT(compared, 10u);
  }

  test::TempDir m_dir;
  WeightCache m_cache{uint64_t{64} << 20};
  std::optional<SmallTransformer> m_transformer;
  std::optional<Variant> m_variant;
  std::vector<int32_t> m_tokens;
  Matrix m_factors;
};

TEST_F(BackwardTest, LlamaWithGroupedHeads) { expectOracle({}); }

TEST_F(BackwardTest, TiedHeadGathersBothOfItsUses) { expectOracle({.tiedHead = true}); }

TEST_F(BackwardTest, PartialRotationWithFactors) {
  expectOracle({.rotated = 4, .frequencyFactors = true});
}

TEST_F(BackwardTest, Yarn) {
  expectOracle({.keyLength = 16, .rotated = 16, .ropeBase = 10, .scaling = "yarn"});
}

TEST_F(BackwardTest, Qwen2WithBiases) {
  expectOracle({.architecture = "qwen2", .biases = true, .tiedHead = true});
}

TEST_F(BackwardTest, Qwen3WithHeadNorms) {
  expectOracle({.architecture = "qwen3", .heads = 6, .kvHeads = 1});
}

TEST_F(BackwardTest, WidthsThatAreNoWholeVectors) {
  expectOracle({.blocks = 1, .width = 200, .keyLength = 50, .feedForward = 401, .rotated = 50});
}

TEST_F(BackwardTest, ThreadsDoNotChangeABit) {
  open({.biases = true});
  const auto one = gradients({{.tokens = kTokens}}, 1);
  const auto seven = gradients({{.tokens = kTokens}}, 7);
  for (const auto& [name, gradient] : one) {
    EXPECT_EQ(gradient.values, seven.at(name).values) << name;
  }
}

TEST_F(BackwardTest, SequencesDoNotMix) {
  open({});
  const auto whole = gradients({{.tokens = 5}, {.tokens = kTokens - 5}});
  // The loss of the second sequence alone leaves the embedding rows of the first alone.
  std::fill_n(m_factors.values.begin(), 5 * m_factors.cols, 0.0f);
  const auto second = gradients({{.tokens = 5}, {.tokens = kTokens - 5}});
  const Matrix& rows = second.at("token_embd.weight");
  for (size_t i = 0; i < 5; ++i) {
    const bool again = std::count(m_tokens.begin() + 5, m_tokens.end(), m_tokens[i]) > 0;
    if (again) continue;
    const float* row = rows.row(size_t(m_tokens[i]));
    EXPECT_TRUE(std::all_of(row, row + rows.cols, [](float g) { return g == 0; }));
    const float* before = whole.at("token_embd.weight").row(size_t(m_tokens[i]));
    EXPECT_FALSE(std::all_of(before, before + rows.cols, [](float g) { return g == 0; }));
  }
}

// Gradients are multiplied as single bfloat16 there: 2⁻⁹ of each, and a few ops on the way.
TEST_F(BackwardTest, MeasurePrecisionIsClose) {
  open({.width = 64, .feedForward = 96});
  const auto exact = gradients({{.tokens = kTokens}});
  m_variant->setPrecision(Precision::Measure);
  const auto measured = gradients({{.tokens = kTokens}});
  for (const auto& [name, gradient] : exact) {
    double difference = 0;
    double size = 0;
    for (size_t i = 0; i < gradient.values.size(); ++i) {
      difference += std::pow(double(gradient.values[i]) - double(measured.at(name).values[i]), 2);
      size += std::pow(double(gradient.values[i]), 2);
    }
    EXPECT_LT(std::sqrt(difference / size), 1e-2) << name;
  }
}

}  // namespace
}  // namespace bitloom
