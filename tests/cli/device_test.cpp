// SPDX-License-Identifier: GPL-3.0-or-later
// The program on a Vulkan device, under the validation layer with checks of synchronization: it has
// nothing to say of any verb, nor of objects that are left when the device is closed.
#include "tests/support/process.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::Cli;

class UnderValidation : public testing::Test {
 protected:
  void SetUp() override {
    const auto json = m_cli.run({"doctor", "--json"}).json();
    if (!json["vulkan"]["off"].is_null()) GTEST_SKIP() << json["vulkan"]["off"];
    m_log = m_cli.path("validation.log");
    test::writeFile(m_cli.path("vk_layer_settings.txt"),
                    "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n"
                    "khronos_validation.report_flags = error,warn\n"
                    "khronos_validation.log_filename = " +
                        m_log +
                        "\n"
                        "khronos_validation.enables = "
                        "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT\n");
    ::setenv("VK_LAYER_SETTINGS_PATH", m_cli.dir().path().c_str(), 1);
    ::setenv("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation", 1);
    ::setenv("XDG_CACHE_HOME", m_cli.dir().path().c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : {"VK_LAYER_SETTINGS_PATH", "VK_INSTANCE_LAYERS", "XDG_CACHE_HOME"}) {
      ::unsetenv(name);
    }
  }

  // Runs a verb on the device, which must end well.
  test::Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--backend", "vulkan", "--json"});
    auto result = m_cli.run(arguments);
    EXPECT_EQ(result.exit, 0) << arguments.front() << ": " << result.err;
    // The layer makes its log when it is loaded.
    EXPECT_TRUE(std::filesystem::exists(m_log));
    EXPECT_EQ(test::readFile(m_log), "") << arguments.front();
    return result;
  }

  Cli m_cli;
  std::string m_log;
};

TEST_F(UnderValidation, ChatAndEvalAreSilent) {
  const auto chat = run({"chat", "builtin", "--prompt", "Once", "--max-tokens", "4"});
  const auto eight =
      run({"chat", "builtin", "--prompt", "Once", "--max-tokens", "4", "--cache", "q8_0"});
  EXPECT_FALSE(chat.json()["answers"][0]["text"].get<std::string>().empty());
  EXPECT_FALSE(eight.json()["answers"][0]["text"].get<std::string>().empty());
  run({"eval", "builtin", "--precision", "measure", "--ctx", "64", "--chunks", "1"});
}

TEST_F(UnderValidation, ScanAndBenchAreSilent) {
  const auto model = test::writeTinyModel(m_cli.dir() / "tiny.gguf", {});
  const auto scan = run({"scan", model.string(), "--metric", "kld", "--codecs", "q8_0,q4_0"});
  EXPECT_GT(scan.json()["cells"].size(), 4u);
  run({"bench", model.string(), "--prompt", "8", "--single", "2", "--runs", "1", "--kernels"});
}

}  // namespace
}  // namespace bitloom
