// SPDX-License-Identifier: GPL-3.0-or-later
// Whole models on a Vulkan device against the CPU's exact arithmetic, under the validation layer.
#include "core/inference/device_forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "core/base/strings.h"
#include "core/inference/backend_state.h"
#include "core/inference/session.h"
#include "core/live_loop.h"
#include "core/method.h"
#include "kernels/vulkan/rows.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

class OnDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (auto opened = Backend::open("", {.cacheFolder = {}, .validation = true})) {
      m_backend = *opened;
    } else {
      GTEST_SKIP() << opened.error().message;
    }
  }
  void TearDown() override {
    m_device.reset();
    if (!m_backend) return;
    for (const std::string& message : m_backend->validationMessages()) ADD_FAILURE() << message;
  }

  // The backend anew, with other options.
  void reopen(BackendOptions options) {
    options.cacheFolder.clear();
    options.validation = true;
    auto opened = Backend::open("", options);
    ASSERT_TRUE(opened) << opened.error().message;
    m_backend = *opened;
  }

  void open(const test::TinyModelOptions& options = {}) {
    load(test::writeTinyModel(m_dir / "tiny.gguf", options));
  }
  void load(const std::filesystem::path& path) {
    auto model = Model::open(path);
    ASSERT_TRUE(model) << model.error().message;
    auto variant = Variant::create(*model, m_cache);
    ASSERT_TRUE(variant) << variant.error().message;
    variant->setPrecision(Precision::Exact);
    m_host.emplace(std::move(*variant));
    m_device.emplace(m_host->copy());
    m_device->setBackend(m_backend);
  }
  void setCodec(const char* name) {
    for (Variant* variant : {&*m_host, &*m_device}) {
      for (size_t i = 0; i < variant->model().tensors().size(); ++i) {
        const Tensor& tensor = variant->model().tensors()[i];
        if (tensor.dimensions != 2) continue;
        variant->setTensor(i, effectiveCodec(findCodec(name), tensor.rowLength()),
                           findMethod("nearest"));
      }
    }
  }

  static std::vector<TokenId> tokens(size_t count) {
    std::vector<TokenId> ids(count);
    for (size_t i = 0; i < count; ++i) ids[i] = TokenId(5 + i * 7 % 40);
    return ids;
  }
  Session session(const Variant& variant, const SessionOptions& options = {}) {
    auto created = Session::create(variant, options);
    EXPECT_TRUE(created) << created.error().message;
    return std::move(*created);
  }
  // The largest difference, relative to the root mean square of the expected.
  static double difference(const Matrix& actual, const Matrix& expected) {
    EXPECT_EQ(actual.values.size(), expected.values.size());
    double worst = 0, square = 0;
    for (size_t i = 0; i < expected.values.size(); ++i) {
      worst = std::max(worst, std::abs(double(actual.values[i]) - double(expected.values[i])));
      square += std::pow(double(expected.values[i]), 2);
    }
    return worst / std::sqrt(square / double(expected.values.size()));
  }
  void expectSameLogits(const SessionOptions& options, double bound) {
    const auto ids = tokens(50);
    Session here = session(*m_host, options);
    Session there = session(*m_device, options);
    EXPECT_EQ(there.note(), "");
    for (const auto& [first, count] : {std::pair{0, 37}, {37, 1}, {38, 1}, {39, 11}}) {
      const auto part = std::span(ids).subspan(size_t(first), size_t(count));
      const auto expected = here.evalAll(part, m_job);
      const auto actual = there.evalAll(part, m_job);
      ASSERT_TRUE(expected && actual) << (actual ? "" : actual.error().message);
      EXPECT_LE(difference(*actual, *expected), bound) << "from " << first;
    }
    EXPECT_EQ(there.note(), "");
  }

  test::TempDir m_dir;
  WeightCache m_cache{uint64_t{256} << 20};
  std::shared_ptr<Backend> m_backend;
  std::optional<Variant> m_host;
  std::optional<Variant> m_device;
  Workers m_workers{2};
  JobControl m_control;
  JobContext m_job{m_workers, m_control};
};

// As software devices are, and with memory that the host does not reach and the products of GPUs.
class OnEitherDevice : public OnDevice, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (!IsSkipped() && GetParam()) reopen({.asGpu = true});
  }
};

INSTANTIATE_TEST_SUITE_P(As, OnEitherDevice, testing::Bool(),
                         [](const auto& asGpu) { return asGpu.param ? "Gpu" : "Software"; });

TEST_P(OnEitherDevice, LogitsAreThoseOfTheCpu) {
  open();
  expectSameLogits({.cache = KvFormat::F32, .prefillBatch = 16}, 2e-5);
}

TEST_F(OnDevice, HalvesOfKeysAndValuesToo) {
  open({.tiedHead = true, .halfFloats = true});
  expectSameLogits({.cache = KvFormat::F16, .prefillBatch = 64}, 4e-3);
}

TEST_F(OnDevice, KeysAndValuesInEightBitsToo) {
  open({.tiedHead = true, .halfFloats = true});
  // Sums that differ in their last bit may round to the next code, a step eight times that of f16.
  expectSameLogits({.cache = KvFormat::Q8_0, .prefillBatch = 64}, 8 * 8e-3);
}

// What a GPU is given in single tokens: shares of the positions, merged.
TEST_F(OnDevice, LongContextsAreSplit) {
  reopen({.asGpu = true});
  open();
  expectSameLogits({.contextLength = 512, .cache = KvFormat::F32}, 2e-5);
}

TEST_F(OnDevice, RowsThatPartsDoNotDivide) {
  open({.width = 40, .heads = 4, .kvHeads = 4, .feedForward = 172});
  expectSameLogits({.cache = KvFormat::F32}, 2e-5);
}

TEST_P(OnEitherDevice, PlansAreComputedFromTheirOwnBytes) {
  open({.width = 128, .feedForward = 256});
  for (const char* codec : {"q4_0", "tq3_1s", "tq3_1b4", "q6_k", "iq3_s"}) {
    SCOPED_TRACE(codec);
    setCodec(codec);
    expectSameLogits({.cache = KvFormat::F32}, 5e-5);
  }
}

TEST_P(OnEitherDevice, LiveLoopMeasuresTheSame) {
  open();
  const ProbeOptions options{.sequences = 5, .tokens = 13, .firstScored = 3};
  auto here = LiveLoop::create(*m_host, tokens(65), options, m_job);
  auto there = LiveLoop::create(*m_device, tokens(65), options, m_job);
  ASSERT_TRUE(here && there);
  const Codec& codec = *findCodec("q4_0");
  for (size_t i = 0; i < m_host->model().tensors().size(); ++i) {
    const Tensor& tensor = m_host->model().tensors()[i];
    if (tensor.dimensions != 2) continue;
    const auto expected = (*here)->measureTensor(i, codec, *findMethod("nearest"), nullptr, m_job);
    const auto actual = (*there)->measureTensor(i, codec, *findMethod("nearest"), nullptr, m_job);
    ASSERT_TRUE(expected && actual);
    EXPECT_NEAR(actual->kld.mean, expected->kld.mean, 1e-3 * expected->kld.mean + 1e-10)
        << tensor.name;
  }
}

TEST_P(OnEitherDevice, TellsTheLikeliestTokens) {
  open();
  Session here = session(*m_host, {.cache = KvFormat::F32});
  Session there = session(*m_device, {.cache = KvFormat::F32});
  for (const size_t count : {9u, 1u}) {
    const auto ids = tokens(count);
    const auto expected = here.top(ids, 6, m_job);
    const auto actual = there.top(ids, 6, m_job);
    ASSERT_TRUE(expected && actual) << (actual ? "" : actual.error().message);
    EXPECT_EQ(actual->ids, expected->ids);
    EXPECT_NEAR(actual->logSum, expected->logSum, 1e-5);
    for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(actual->logits[i], expected->logits[i], 1e-4);
  }
}

// Bytes of encoders on the device, where it divides exactly, are the host's.
TEST_F(OnDevice, EncodesAsTheHostDoes) {
  reopen({.asGpu = true});
  open({.width = 96, .feedForward = 160, .halfFloats = true});
  auto& state = m_backend->state();
  for (const char* name : {"q8_0", "q4_0", "tq3_1s"}) {
    setCodec(name);
    for (size_t i = 0; i < m_host->model().tensors().size(); ++i) {
      const Tensor& tensor = m_host->model().tensors()[i];
      if (tensor.dimensions != 2) continue;
      auto made = state.encode(*m_device, i, m_job);
      ASSERT_TRUE(made) << made.error().message;
      ASSERT_TRUE(*made) << name << " " << tensor.name;
      const auto expected = m_host->encode(i, m_job);
      ASSERT_TRUE(expected);
      const uint64_t rowBytes = findCodec(name)->rowBytes(tensor.rowLength());
      const uint64_t panelWords = (*made)->rowWords * vulkan::kRowsOfPanel;
      for (const vulkan::Weights::Slice& slice : (*made)->slices) {
        std::vector<uint32_t> panels(slice.panels.bytes() / sizeof(uint32_t));
        ASSERT_TRUE(state.device->read(slice.panels, 0, panels.data(), slice.panels.bytes()));
        for (uint64_t row = 0; row < slice.rows; row += vulkan::kRowsOfPanel) {
          const uint64_t count = std::min(vulkan::kRowsOfPanel, slice.rows - row);
          std::vector<uint8_t> bytes(count * rowBytes);
          vulkan::unpackPanel(panels.data() + row / vulkan::kRowsOfPanel * panelWords, rowBytes,
                              count, bytes.data());
          EXPECT_EQ(
              std::memcmp(bytes.data(), expected->bytes.data() + (slice.firstRow + row) * rowBytes,
                          bytes.size()),
              0)
              << name << " " << tensor.name << " row " << row;
        }
      }
    }
  }
}

TEST_F(OnDevice, LeavesWhatItCannotEncodeToTheHost) {
  reopen({.asGpu = true});
  open({.width = 96, .feedForward = 160, .halfFloats = true});
  size_t tensor = 0;
  while (m_host->model().tensors()[tensor].dimensions != 2) ++tensor;
  m_device->setTensor(tensor, findCodec("q4_k"));  // no encoder there
  const auto none = m_backend->state().encode(*m_device, tensor, m_job);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  m_device->setTensor(tensor, findCodec("q4_0"), findMethod("imatrix"));
  const auto weighted = m_backend->state().encode(*m_device, tensor, m_job);
  ASSERT_TRUE(weighted);
  EXPECT_FALSE(*weighted);
}

TEST_P(OnEitherDevice, ALostDeviceLeavesTheAnswerToTheCpu) {
  open();
  const auto ids = tokens(12);
  Session whole = session(*m_host);
  const auto expected = whole.eval(ids, m_job);
  ASSERT_TRUE(expected);
  for (const uint64_t submission : {1u, 2u, 6u}) {
    reopen({.lostAtSubmission = submission, .asGpu = GetParam()});
    m_device->setBackend(m_backend);
    Session broken = session(*m_device);
    Result<std::vector<float>> actual = broken.eval(std::span(ids).first(4), m_job);
    for (size_t i = 4; i < ids.size() && actual; ++i) {
      actual = broken.eval(std::span(ids).subspan(i, 1), m_job);
    }
    ASSERT_TRUE(actual) << actual.error().message;
    EXPECT_NE(broken.note().find("was lost"), std::string::npos) << broken.note();
    ASSERT_EQ(actual->size(), expected->size());
    for (size_t i = 0; i < actual->size(); ++i) {
      ASSERT_NEAR((*actual)[i], (*expected)[i], 1e-3) << submission;
    }
  }
}

TEST_F(OnDevice, ShortMemoryLeavesTheRestToTheCpu) {
  open({.blocks = 4});
  const auto ids = tokens(20);
  Session whole = session(*m_host, {.cache = KvFormat::F32});
  const auto expected = whole.evalAll(ids, m_job);
  ASSERT_TRUE(expected);
  std::set<std::string> seen;  // what of the notes does not depend on the limit
  for (uint64_t kilobytes = 200; kilobytes < 6000 && !seen.count("all"); kilobytes += 50) {
    reopen({.memoryLimit = kilobytes << 10});
    m_device->setBackend(m_backend);
    Session there = session(*m_device, {.cache = KvFormat::F32});
    const std::string note = there.note();
    const size_t colon = note.find(": it");
    const std::string what = note.empty()                 ? "all"
                             : colon == std::string::npos ? "none"
                                                          : note.substr(colon);
    if (!seen.insert(what).second) continue;
    const auto actual = there.evalAll(ids, m_job);
    ASSERT_TRUE(actual) << actual.error().message;
    EXPECT_LE(difference(*actual, *expected), 2e-5) << kilobytes << ": " << note;
  }
  for (const char* text : {"the first 1 of 4 blocks", "the first 3 of 4 blocks"}) {
    EXPECT_TRUE(seen.count(strCat(": it computes ", text, ", the CPU the rest."))) << text;
  }
  EXPECT_TRUE(seen.count("none"));
  EXPECT_TRUE(seen.count("all"));
}

TEST_F(OnDevice, CancelIsNoticed) {
  open();
  Session there = session(*m_device);
  m_control.cancel();
  const auto logits = there.eval(tokens(9), m_job);
  ASSERT_FALSE(logits);
  EXPECT_EQ(logits.error().code, ErrorCode::Cancelled);
}

}  // namespace
}  // namespace bitloom
