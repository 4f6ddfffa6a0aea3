// SPDX-License-Identifier: GPL-3.0-or-later
// What the world does to a program: kills, interrupts, broken files, folders that refuse.
#include <random>

#include "tests/support/process.h"

namespace bitloom {
namespace {

using test::Cli;
using test::storyModel;

void sleepMs(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

TEST(Hostile, KilledQuantizeLeavesNothingUnderTheFinalNameAndResumes) {
  Cli cli;
  const std::vector<std::string> arguments = {"quantize", "builtin",  "--codec",
                                              "tq3_1s",   "--resume", "--threads",
                                              "1",        "-o",       cli.path("m.gguf")};
  const auto straight =
      cli.run({"quantize", "builtin", "--codec", "tq3_1s", "-o", cli.path("whole.gguf")});
  ASSERT_EQ(straight.exit, 0) << straight.err;
  std::mt19937 random(1);
  int killed = 0;
  for (int i = 0; i < 12; ++i) {
    auto process = cli.start(arguments);
    sleepMs(int(random() % 400));
    process->kill(SIGKILL);
    killed += process->wait().signal == SIGKILL;
    if (std::filesystem::exists(cli.path("m.gguf"))) {
      EXPECT_EQ(test::readFile(cli.path("m.gguf")), test::readFile(cli.path("whole.gguf")));
      std::filesystem::remove(cli.path("m.gguf"));
    }
    ASSERT_EQ(cli.run({"runs", "list"}).exit, 0);
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(cli.run(arguments).exit, 0);
  EXPECT_EQ(test::readFile(cli.path("m.gguf")), test::readFile(cli.path("whole.gguf")));
}

TEST(Hostile, KilledScanKeepsItsCellsAndResumesToTheSameNumbers) {
  Cli whole;
  const std::vector<std::string> scan = {"scan", "builtin",  "--codecs", "tq2_1b8",  "--chunks",
                                         "2",    "--tokens", "16",       "--resume", "--json"};
  const auto straight = whole.run(scan);
  ASSERT_EQ(straight.exit, 0) << straight.err;
  Cli cli;
  std::mt19937 random(2);
  int killed = 0;
  for (int i = 0; i < 8; ++i) {
    auto process = cli.start(scan);
    sleepMs(200 + int(random() % 500));
    process->kill(SIGKILL);
    killed += process->wait().signal == SIGKILL;
    ASSERT_EQ(cli.run({"runs", "list"}).exit, 0);
  }
  EXPECT_GT(killed, 0);
  const auto resumed = cli.run(scan);
  ASSERT_EQ(resumed.exit, 0) << resumed.err;
  auto cellsOf = [](const test::Finished& finished) {
    std::map<std::string, double> cells;
    const auto scanned = finished.json();
    for (const auto& cell : scanned["cells"]) cells[cell["tensor"]] = cell["value"];
    return cells;
  };
  EXPECT_EQ(cellsOf(resumed), cellsOf(straight));
}

TEST(Hostile, InterruptCancelsWithinASecond) {
  Cli cli;
  auto process = cli.start({"scan", "builtin", "--codecs", "tq3_1s,q4_0,q8_0,tq4_1s"});
  sleepMs(900);
  ASSERT_TRUE(process->running());
  const auto begin = std::chrono::steady_clock::now();
  process->kill(SIGINT);
  const auto finished = process->wait();
  EXPECT_EQ(finished.exit, 130) << finished.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1500));
}

TEST(Hostile, TruncatedAndFlippedModelsEndInASentence) {
  Cli cli;
  const std::string bytes = test::readFile(storyModel());
  std::mt19937_64 random(3);
  for (int i = 0; i < 60; ++i) {
    std::string broken = bytes.substr(0, i % 2 ? bytes.size() : size_t(random() % bytes.size()));
    if (i % 2) {
      for (int flip = 0; flip < 3; ++flip)
        broken[size_t(random() % 200'000)] ^= char(1 << (random() % 8));
    }
    test::writeFile(cli.path("broken.gguf"), broken);
    const auto finished = cli.run({"inspect", cli.path("broken.gguf")});
    EXPECT_TRUE(finished.exit == 0 || finished.exit == 1) << "signal " << finished.signal;
    EXPECT_LT(finished.seconds, 5);
    if (finished.exit == 1) {
      EXPECT_TRUE(test::isOneSentence(finished.err)) << finished.err;
    }
  }
}

TEST(Hostile, AModelCutWhileItIsReadIsNamed) {
  Cli cli;
  const std::string model = cli.path("cut.gguf");
  std::filesystem::copy_file(storyModel(), model);
  auto process = cli.start({"quantize", model, "--codec", "tq3_1b2", "-o", cli.path("o.gguf")});
  while (process->running() && !std::filesystem::exists(cli.path("o.gguf.part"))) sleepMs(1);
  std::filesystem::resize_file(model, 4096);
  const auto finished = process->wait();
  EXPECT_EQ(finished.exit, 1) << "signal " << finished.signal;
  EXPECT_EQ(finished.err.find(model), 0U) << finished.err;
  EXPECT_TRUE(test::isOneSentence(finished.err)) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(cli.path("o.gguf")));
}

TEST(Hostile, UnwritableFolderAndMissingTokenizerAreNamed) {
  Cli cli;
  const auto folder =
      cli.run({"quantize", "builtin", "--codec", "q8_0", "-o", "/proc/nowhere/m.gguf"});
  EXPECT_EQ(folder.exit, 1);
  EXPECT_NE(folder.err.find("/proc/nowhere"), std::string::npos) << folder.err;
  EXPECT_TRUE(test::isOneSentence(folder.err)) << folder.err;
  NEEDS_SHARED("tokenizers/ggml-vocab-gpt-2.gguf");
  const auto vocab = test::sharedPath("tokenizers/ggml-vocab-gpt-2.gguf").string();
  EXPECT_EQ(cli.run({"tokenize", vocab, "--text", "hello"}).exit, 0);
  EXPECT_EQ(cli.run({"eval", vocab}).exit, 1);
}

TEST(Hostile, SameFileAtAnyThreadCount) {
  Cli cli;
  std::string first;
  for (const char* threads : {"1", "2", "7"}) {
    const auto made = cli.run({"quantize", "builtin", "--codec", "tq3_1b4", "--threads", threads,
                               "-o", cli.path(std::string(threads) + ".gguf")});
    ASSERT_EQ(made.exit, 0) << made.err;
    const std::string bytes = test::readFile(cli.path(std::string(threads) + ".gguf"));
    if (first.empty()) first = bytes;
    EXPECT_EQ(bytes, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace bitloom
