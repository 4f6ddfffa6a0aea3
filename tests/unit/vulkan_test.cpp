// SPDX-License-Identifier: GPL-3.0-or-later
// Kernels, memory and recordings of a Vulkan device (a software one where there is no other), under
// the validation layer with checks of synchronization, which must stay silent.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "core/base/strings.h"
#include "core/codec.h"
#include "core/inference/backend_state.h"
#include "core/inference/device_check.h"
#include "core/inference/pipeline_file.h"
#include "kernels/vulkan/ops.h"
#include "kernels/vulkan/pieces.h"
#include "kernels/vulkan/rows.h"
#include "kernels/vulkan/shaders.h"
#include "tests/support/process.h"

namespace bitloom {
namespace {

std::vector<std::string> kernelGroups() {
  std::vector<std::string> names = {"none"};
  for (const Codec* codec : codecs()) {
    if (vulkan::hasShaders(codec->name)) names.emplace_back(codec->name);
  }
  return names;
}

class VulkanKernels : public testing::TestWithParam<std::string> {};

void expectAgreement(const std::string& group, bool asGpu) {
  const auto backend = Backend::open("", {.cacheFolder = {}, .validation = true, .asGpu = asGpu});
  if (!backend) GTEST_SKIP() << backend.error().message;
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  const auto checks = checkDevice(**backend, group, job);
  ASSERT_TRUE(checks) << checks.error().message;
  EXPECT_GE(checks->size(), 4u);
  for (const DeviceCheck& check : *checks) {
    EXPECT_TRUE(check.holds()) << check.kernel << ": " << check.error << " > " << check.bound;
  }
  for (const std::string& message : (*backend)->validationMessages()) ADD_FAILURE() << message;
}

TEST_P(VulkanKernels, AgreeWithTheHost) { expectAgreement(GetParam(), false); }

// What GPUs run, on whatever is here: the products differ, the codecs' parts do not.
TEST(VulkanKernelsOfGpus, AgreeWithTheHost) {
  for (const char* group : {"none", "f32", "q4_0", "q6_k", "tq3_1b4"}) {
    SCOPED_TRACE(group);
    expectAgreement(group, true);
  }
}

INSTANTIATE_TEST_SUITE_P(All, VulkanKernels, testing::ValuesIn(kernelGroups()),
                         [](const auto& tested) { return tested.param; });

TEST(VulkanShaders, ExistForTheCodecsThatChatIsFastWith) {
  for (const char* name : {"f16",   "bf16",   "q8_0",   "q4_0",    "q4_1",    "q5_0",   "q5_1",
                           "q2_k",  "q3_k",   "q4_k",   "q5_k",    "q6_k",    "iq4_nl", "iq4_xs",
                           "mxfp4", "tq3_1s", "tq4_1s", "tq2_1b2", "tq3_1b4", "tq4_1b8"}) {
    EXPECT_TRUE(vulkan::hasShaders(name)) << name;
  }
  EXPECT_FALSE(vulkan::hasShaders("iq1_s"));
}

// As the validator of Khronos reads the specification.
TEST(VulkanShaders, AreValidSpirV) {
  const test::TempDir dir;
  for (const vulkan::Shader& shader : vulkan::shaders()) {
    const std::filesystem::path file = dir / (std::string(shader.name) + ".spv");
    const auto bytes = std::as_bytes(shader.words);
    test::writeFile(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  const std::string each = strCat("for f in ", dir.path().string(),
                                  "/*.spv; do spirv-val --target-env vulkan1.1 $f || exit 1; done");
  const auto result =
      test::Process("/bin/sh", {"-c", "command -v spirv-val && " + each}, dir).wait();
  EXPECT_EQ(result.exit, 0) << result.out << result.err;
}

TEST(VulkanRows, PanelsHoldTheBytesThatWentIn) {
  for (const uint64_t rowBytes : {1u, 18u, 33u, 64u}) {
    const uint64_t words = vulkan::rowWords(rowBytes, 32);
    std::vector<uint8_t> bytes(31 * rowBytes);
    std::iota(bytes.begin(), bytes.end(), uint8_t(7));
    std::vector<uint32_t> panel(words * vulkan::kRowsOfPanel, ~0u);
    vulkan::packPanel(bytes.data(), rowBytes, 31, words, panel.data());
    std::vector<uint8_t> back(bytes.size());
    vulkan::unpackPanel(panel.data(), rowBytes, 31, back.data());
    EXPECT_EQ(back, bytes);
    EXPECT_EQ(panel[31], 0u);                // the row that lacks
    EXPECT_EQ(panel[(words - 1) * 32], 0u);  // the spare word
  }
}

class VulkanPipelines : public testing::Test {
 protected:
  // Opens the device with what is kept, compiles a shader, and closes it.
  void compileOne() {
    auto backend = Backend::open("", {.cacheFolder = m_dir.path(), .validation = true});
    if (!backend) GTEST_SKIP() << backend.error().message;
    m_file = pipelineFile(m_dir.path(), (*backend)->device());
    vulkan::Device& device = *(*backend)->state().device;
    const std::vector<float> values = {1, 2, 3};
    auto buffer = device.put(values.data(), 12);
    ASSERT_TRUE(buffer);
    vulkan::Recording recording(device);
    vulkan::Ops ops(device, recording);
    ASSERT_TRUE(ops.elementwise(vulkan::Elementwise::Scale, *buffer, nullptr, 3, 2.0f, *buffer));
    ASSERT_TRUE(recording.run());
    std::vector<float> doubled(3);
    ASSERT_TRUE(device.read(*buffer, 0, doubled.data(), 12));
    EXPECT_EQ(doubled, (std::vector<float>{2, 4, 6}));
    for (const std::string& message : (*backend)->validationMessages()) ADD_FAILURE() << message;
  }
  bool isKept() const { return readPipelines(m_file).size() >= 32; }

  test::TempDir m_dir;
  std::filesystem::path m_file;
};

TEST_F(VulkanPipelines, AreKeptForTheNextStart) {
  ASSERT_NO_FATAL_FAILURE(compileOne());
  if (IsSkipped()) return;
  EXPECT_TRUE(isKept());
  const auto written = std::filesystem::last_write_time(m_file);
  compileOne();
  EXPECT_EQ(std::filesystem::last_write_time(m_file), written);  // nothing new to say
}

TEST_F(VulkanPipelines, OfAnotherDriverOrDamagedAreMadeAnew) {
  ASSERT_NO_FATAL_FAILURE(compileOne());
  if (IsSkipped()) return;
  std::string other;
  for (const std::byte byte : readPipelines(m_file)) other += char(byte);
  other[20] = char(other[20] + 1);  // of the driver's UUID
  for (const std::string& text : {std::string("short"), std::string(1 << 16, 'x'), other}) {
    test::writeFile(m_file, text);
    compileOne();
    EXPECT_TRUE(isKept());
    EXPECT_NE(std::to_integer<char>(readPipelines(m_file)[20]),
              text[std::min<size_t>(20, text.size() - 1)]);
  }
}

TEST(VulkanClock, TellsTheTimeOfItsKernels) {
  const auto backend = Backend::open("", {.cacheFolder = {}, .validation = true});
  if (!backend) GTEST_SKIP() << backend.error().message;
  vulkan::Device& device = *(*backend)->state().device;
  if (!device.timeKernels()) GTEST_SKIP() << "has no clock";
  constexpr uint32_t kCount = 1 << 20;
  const std::vector<float> values(kCount, 1);
  auto buffer = device.put(values.data(), kCount * sizeof(float));
  ASSERT_TRUE(buffer);
  vulkan::Recording recording(device);
  vulkan::Ops ops(device, recording);
  for (int i = 0; i < 150; ++i) {  // more than a pool of clocks holds
    ASSERT_TRUE(ops.elementwise(vulkan::Elementwise::Scale, *buffer, nullptr, i == 0 ? kCount : 32,
                                1.5f, *buffer));
  }
  const auto begin = std::chrono::steady_clock::now();
  for (int run = 0; run < 2; ++run) ASSERT_TRUE(recording.run());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto times = device.kernelTimes();
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].shader, "elementwise");
  EXPECT_EQ(times[0].runs, 300u);
  EXPECT_GT(times[0].seconds, 0);
  EXPECT_LE(times[0].seconds, seconds);
  for (const std::string& message : (*backend)->validationMessages()) ADD_FAILURE() << message;
}

TEST(VulkanPieces, RangesThatComeBackAreJoined) {
  vulkan::FreeRanges ranges(1024);
  const auto a = ranges.take(256), b = ranges.take(256), c = ranges.take(512);
  ASSERT_TRUE(a && b && c);
  EXPECT_FALSE(ranges.take(1));
  ranges.give(*a, 256);
  ranges.give(*c, 512);
  EXPECT_FALSE(ranges.take(768));
  EXPECT_FALSE(ranges.isAllFree());
  ranges.give(*b, 256);
  EXPECT_TRUE(ranges.isAllFree());
  EXPECT_EQ(ranges.take(1024), 0u);
}

class VulkanDevice : public testing::Test {
 protected:
  void SetUp() override {
    auto instance = vulkan::Instance::create({.validation = true});
    if (!instance) GTEST_SKIP() << instance.error().message;
    m_instance = *instance;
  }
  void TearDown() override {
    if (!m_instance) return;
    for (const std::string& message : m_instance->messages()) ADD_FAILURE() << message;
  }
  std::unique_ptr<vulkan::Device> open(const vulkan::DeviceOptions& options = {}) {
    auto device = vulkan::Device::open(m_instance, 0, options);
    EXPECT_TRUE(device) << device.error().message;
    return device ? std::move(*device) : nullptr;
  }
  std::shared_ptr<vulkan::Instance> m_instance;
};

TEST_F(VulkanDevice, MemoryIsLimitedAndComesBack) {
  const auto device = open({.memoryLimit = 1 << 20});
  {
    const auto first = device->allocate(700 << 10);
    ASSERT_TRUE(first);
    const auto second = device->allocate(700 << 10);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::OutOfMemory);
    EXPECT_NE(second.error().message.find(device->info().name), std::string::npos);
  }
  EXPECT_EQ(device->usedBytes(), 0u);
  EXPECT_TRUE(device->allocate(700 << 10));
}

TEST_F(VulkanDevice, BytesComeBackAsTheyWent) {
  const auto device = open();
  auto buffer = device->allocate(10001 * 4);
  ASSERT_TRUE(buffer);
  std::vector<uint32_t> values(10001);
  std::iota(values.begin(), values.end(), 5u);
  ASSERT_TRUE(device->write(*buffer, 0, values.data(), values.size() * 4));
  std::vector<uint32_t> back(10000);
  ASSERT_TRUE(device->read(*buffer, 4, back.data(), back.size() * 4));
  EXPECT_EQ(back.front(), 6u);
  EXPECT_EQ(back.back(), 10005u);
}

TEST_F(VulkanDevice, ALostDeviceSaysSoAndStaysLost) {
  const auto device = open({.lostAtSubmission = 1});
  auto buffer = device->allocate(1024);
  ASSERT_TRUE(buffer);
  vulkan::Recording recording(*device);
  ASSERT_TRUE(recording.copy(*buffer, 0, *buffer, 512, 256));
  const auto done = recording.run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::Device);
  EXPECT_TRUE(device->isLost());
  uint32_t value = 0;
  EXPECT_FALSE(device->read(*buffer, 0, &value, 4));
}

// Weights beyond what one binding may see come in slices.
TEST_F(VulkanDevice, LargeTensorsAreCut) {
  const auto device = open();
  const uint64_t range = device->info().storageRange;
  if (range > (uint64_t{256} << 20)) GTEST_SKIP() << "bindings of " << range << " bytes";
  const uint64_t length = 4096;
  const uint64_t rows = range / (length * 2) + 100;
  const std::vector<uint16_t> halves(rows * length, 0x3c00);  // ones
  const auto weights = vulkan::upload(
      *device, "f16", reinterpret_cast<const uint8_t*>(halves.data()), rows, length, length * 2);
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_EQ(weights->slices.size(), 2u);
  std::vector<float> input(length, 0.5f);
  auto in = device->allocate(length * 4);
  auto out = device->allocate(rows * 4);
  ASSERT_TRUE(in && out);
  ASSERT_TRUE(device->write(*in, 0, input.data(), length * 4));
  vulkan::Recording recording(*device);
  ASSERT_TRUE(vulkan::Ops(*device, recording).linear(*weights, *in, 1, nullptr, *out));
  ASSERT_TRUE(recording.run());
  std::vector<float> sums(rows);
  ASSERT_TRUE(device->read(*out, 0, sums.data(), rows * 4));
  for (const float sum : sums) ASSERT_EQ(sum, 2048.0f);
}

}  // namespace
}  // namespace bitloom
