// SPDX-License-Identifier: GPL-3.0-or-later
// Each verb as scripts use it: exit codes, JSON keys, files.
#include "tests/support/process.h"

namespace bitloom {
namespace {

using test::Cli;
using test::storyModel;

TEST(Verbs, HelpAndUsageHaveTheirExitCodes) {
  Cli cli;
  EXPECT_EQ(cli.bare({"--help"}).exit, 0);
  EXPECT_EQ(cli.bare({"quantize", "--help"}).exit, 0);
  EXPECT_EQ(cli.bare({}).exit, 2);
  EXPECT_EQ(cli.bare({"no-such-verb"}).exit, 2);
  EXPECT_EQ(cli.bare({"quantize", "builtin"}).exit, 2);
}

TEST(Verbs, FailureIsOneSentenceThatNamesTheObject) {
  Cli cli;
  const auto missing = cli.run({"inspect", "/no/such/model.gguf"});
  EXPECT_EQ(missing.exit, 1);
  EXPECT_NE(missing.err.find("model.gguf"), std::string::npos) << missing.err;
  EXPECT_TRUE(test::isOneSentence(missing.err)) << missing.err;
  const auto codec = cli.run({"plan", "builtin", "--codec", "q9_9"});
  EXPECT_EQ(codec.exit, 1);
  EXPECT_NE(codec.err.find("q9_9"), std::string::npos) << codec.err;
  const auto vulkan = cli.run({"eval", "builtin", "--backend", "vulkan", "--device", "no such"});
  EXPECT_EQ(vulkan.exit, 1);
  EXPECT_NE(vulkan.err.find("Vulkan"), std::string::npos) << vulkan.err;
  EXPECT_TRUE(test::isOneSentence(vulkan.err)) << vulkan.err;
}

TEST(Verbs, InspectPrintsFactsAsJson) {
  Cli cli;
  const auto json = cli.run({"inspect", "builtin", "--json"}).json();
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["bytes"], std::filesystem::file_size(storyModel()));
  EXPECT_GT(json["tensors"].size(), 80u);
}

TEST(Verbs, TokenizeWorksFromTextAndFile) {
  Cli cli;
  const auto text = cli.run({"tokenize", "builtin", "--text", "Once upon a time", "--json"}).json();
  test::writeFile(cli.path("t.txt"), "Once upon a time");
  const auto file = cli.run({"tokenize", "builtin", "--file", cli.path("t.txt"), "--json"}).json();
  EXPECT_EQ(text["ids"], file["ids"]);
  EXPECT_GE(text["ids"].size(), 3u);
}

TEST(Verbs, ListNamesEveryShelf) {
  Cli cli;
  for (const char* shelf :
       {"codecs", "methods", "metrics", "allocators", "exporters", "architectures"}) {
    const auto json = cli.run({"list", shelf, "--json"}).json();
    EXPECT_FALSE(json[shelf].empty()) << shelf;
  }
}

TEST(Verbs, PlanBytesAreTheFilesBytes) {
  Cli cli;
  ASSERT_EQ(cli.run({"plan", "builtin", "--codec", "tq3_1s", "--pin", "token_embd.weight=q8_0",
                     "-o", cli.path("r.json")})
                .exit,
            0);
  const auto plan = cli.run({"plan", "builtin", "--recipe", cli.path("r.json"), "--json"}).json();
  const auto made = cli.run(
      {"quantize", "builtin", "--recipe", cli.path("r.json"), "-o", cli.path("m.gguf"), "--json"});
  ASSERT_EQ(made.exit, 0) << made.err;
  EXPECT_EQ(plan["bytes"], std::filesystem::file_size(cli.path("m.gguf")));
  EXPECT_EQ(made.json()["bytes"], plan["bytes"]);
  bool pinned = false;
  const auto written = made.json();
  for (const auto& tensor : written["tensors"]) {
    if (tensor["name"] == "token_embd.weight") pinned = tensor["effective"] == "q8_0";
  }
  EXPECT_TRUE(pinned);
  const auto runs = cli.run({"runs", "list", "--json"}).json();
  ASSERT_EQ(runs["runs"].size(), 1u);
  EXPECT_EQ(runs["runs"][0]["kind"], "quantize");
}

TEST(Verbs, ScanSolveAndEvaluateAgreeOnKeys) {
  Cli cli;
  const auto scan = cli.run({"scan", "builtin", "--metric", "weight_error", "--codecs",
                             "tq3_1s,q4_0,q8_0", "-o", cli.path("scan.json"), "--json"});
  ASSERT_EQ(scan.exit, 0) << scan.err;
  for (const char* key : {"tensor", "codec", "metric", "value", "error", "bytes"}) {
    EXPECT_TRUE(scan.json()["cells"][0].contains(key)) << key;
  }
  const auto plan = cli.run({"plan", "builtin", "--size", "6.5MB", "--scan", cli.path("scan.json"),
                             "-o", cli.path("r.json"), "--json"});
  ASSERT_EQ(plan.exit, 0) << plan.err;
  EXPECT_LE(plan.json()["bytes"].get<uint64_t>(), 6'500'000u);
  EXPECT_GT(plan.json()["bytes"].get<uint64_t>(), 6'300'000u);
  const auto eval = cli.run({"eval", "builtin", "--recipe", cli.path("r.json"), "--ctx", "128",
                             "--chunks", "3", "--json"});
  ASSERT_EQ(eval.exit, 0) << eval.err;
  EXPECT_GT(eval.json()["perplexity"]["mean"].get<double>(), 1);
  EXPECT_GT(eval.json()["kld"]["mean"].get<double>(), 0);
  EXPECT_TRUE(eval.json()["kld"].contains("p99_9"));
  EXPECT_LE(eval.json()["same_top"]["share"].get<double>(), 1);
}

TEST(Verbs, CalibrationIsGatheredMergedAndUsedByTheSameMethodEverywhere) {
  Cli cli;
  test::writeFile(cli.path("tales.jsonl"),
                  R"({"text": "Once upon a time there was a fox who lived in the wood."})"
                  "\n"
                  R"({"messages": [{"role": "user", "content": "Tell me of the fox."}]})"
                  "\n");
  const auto a = cli.run({"calibrate", "builtin", "--moments", "--chunks", "2", "--ctx", "64", "-o",
                          cli.path("a.gguf"), "--json"});
  ASSERT_EQ(a.exit, 0) << a.err;
  EXPECT_EQ(a.json()["chunks"], 2);
  EXPECT_EQ(a.json()["moments"], true);
  EXPECT_EQ(a.json()["sources"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(a.json()["overlap"]["share"], 0);
  const auto b = cli.run({"calibrate", "builtin", "--text", "tales=" + cli.path("tales.jsonl"),
                          "--chat-template", "--chunks", "3", "--ctx", "8", "--against",
                          cli.path("tales.jsonl"), "-o", cli.path("b.dat"), "--json"});
  ASSERT_EQ(b.exit, 0) << b.err;
  EXPECT_EQ(b.json()["sources"][0]["stratum"], "tales");
  const auto sum = cli.run({"calibrate", "--merge", cli.path("a.gguf"), cli.path("b.dat"), "-o",
                            cli.path("sum.gguf"), "--json"});
  ASSERT_EQ(sum.exit, 0) << sum.err;
  EXPECT_EQ(sum.json()["chunks"], 5);
  EXPECT_EQ(sum.json()["moments"], false);  // the older form has none
  EXPECT_EQ(cli.run({"calibrate", "builtin", "--merge", cli.path("a.gguf"), "-o", "x"}).exit, 2);
  EXPECT_EQ(cli.run({"calibrate", "-o", "x"}).exit, 2);

  const std::vector<std::string> scan = {"scan",     "builtin", "--metric", "weight_error",
                                         "--codecs", "tq3_1s",  "--method", "gptq"};
  const auto without = cli.run(scan);
  EXPECT_EQ(without.exit, 1);
  EXPECT_NE(without.err.find("gptq needs a calibration"), std::string::npos) << without.err;
  auto with = scan;
  for (const char* word : {"--calibration", "a.gguf", "-o", "scan.json", "--json"})
    with.push_back(word[0] == '-' ? word : cli.path(word));
  const auto cells = cli.run(with);
  ASSERT_EQ(cells.exit, 0) << cells.err;
  EXPECT_EQ(cells.json()["method"], "gptq");
  const auto plan = cli.run({"plan", "builtin", "--bpw", "4.1", "--scan", cli.path("scan.json"),
                             "-o", cli.path("r.json"), "--json"});
  ASSERT_EQ(plan.exit, 0) << plan.err;
  for (const auto& tensor : plan.json()["tensors"]) {
    if (tensor["effective"] == "tq3_1s") EXPECT_EQ(tensor["method"], "gptq") << tensor["name"];
  }
}

TEST(Verbs, UnreachableSizeIsRefusedWithFloorAndCeiling) {
  Cli cli;
  ASSERT_EQ(cli.run({"scan", "builtin", "--metric", "weight_error", "--codecs", "tq3_1s,q8_0", "-o",
                     cli.path("scan.json")})
                .exit,
            0);
  const auto small = cli.run({"plan", "builtin", "--size", "1MB", "--scan", cli.path("scan.json")});
  EXPECT_EQ(small.exit, 1);
  EXPECT_TRUE(test::isOneSentence(small.err)) << small.err;
  EXPECT_NE(small.err.find("5"), std::string::npos) << small.err;
}

TEST(Verbs, ChatIsDeterministicAndComparesTwo) {
  Cli cli;
  ASSERT_EQ(cli.run({"quantize", "builtin", "--codec", "q8_0", "-o", cli.path("q8.gguf")}).exit, 0);
  const std::vector<std::string> arguments = {
      "chat",         "builtin", "--prompt", "Tell me of a fox.", "--against", cli.path("q8.gguf"),
      "--max-tokens", "12",      "--json"};
  const auto first = cli.run(arguments);
  ASSERT_EQ(first.exit, 0) << first.err;
  const auto again = cli.run(arguments).json();
  ASSERT_EQ(first.json()["answers"].size(), 2u);
  for (int i : {0, 1}) EXPECT_EQ(first.json()["answers"][i]["ids"], again["answers"][i]["ids"]);
}

TEST(Verbs, LogitsMatchThePlainForwardPass) {
  Cli cli;
  test::writeFile(cli.path("ids.json"), "[10, 20, 30]");
  ASSERT_EQ(
      cli.run({"logits", "builtin", "--tokens", cli.path("ids.json"), "-o", cli.path("l.f32")})
          .exit,
      0);
  EXPECT_EQ(test::readFloats(cli.path("l.f32")).size(), 3u * 4096);
  test::writeFile(cli.path("bad.json"), "[10, 99999]");
  const auto bad =
      cli.run({"logits", "builtin", "--tokens", cli.path("bad.json"), "-o", cli.path("x.f32")});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_FALSE(std::filesystem::exists(cli.path("x.f32")));
}

TEST(Verbs, ExportMainlineHoldsOnlyMainlineTypes) {
  Cli cli;
  ASSERT_EQ(cli.run({"plan", "builtin", "--codec", "tq3_1s", "-o", cli.path("r.json")}).exit, 0);
  const auto made = cli.run({"export", "builtin", "--recipe", cli.path("r.json"), "--format",
                             "gguf-mainline", "-o", cli.path("e.gguf"), "--json"});
  ASSERT_EQ(made.exit, 0) << made.err;
  EXPECT_FALSE(made.json()["changes"].empty());
  const auto exported = cli.run({"inspect", cli.path("e.gguf"), "--json"}).json();
  ASSERT_FALSE(exported["tensors"].empty());
  for (const auto& tensor : exported["tensors"]) {
    EXPECT_FALSE(tensor["type"].get<std::string>().starts_with("tq")) << tensor["name"];
  }
}

TEST(Verbs, DoctorAndBenchReport) {
  Cli cli;
  EXPECT_EQ(cli.run({"doctor", "--json"}).exit, 0);
  const auto bench = cli.run({"bench", "builtin", "--json"});
  ASSERT_EQ(bench.exit, 0) << bench.err;
  EXPECT_GT(bench.json()["rows"][0]["value"].get<double>(), 0);
}

TEST(Verbs, WithoutADriverVulkanIsOffAndNothingElse) {
  ::setenv("VK_ICD_FILENAMES", "/no/such/driver.json", 1);
  Cli cli;
  const auto doctor = cli.run({"doctor"});
  const auto chat = cli.run({"chat", "builtin", "--prompt", "hi", "--backend", "vulkan"});
  ::unsetenv("VK_ICD_FILENAMES");
  EXPECT_EQ(doctor.exit, 0);
  EXPECT_NE(doctor.out.find("Vulkan is off"), std::string::npos) << doctor.out;
  EXPECT_EQ(chat.exit, 1);
  EXPECT_TRUE(test::isOneSentence(chat.err)) << chat.err;
}

TEST(Verbs, CorruptRecipeIsRefusedByName) {
  Cli cli;
  test::writeFile(cli.path("r.json"), "{\"rules\": [");
  const auto bad =
      cli.run({"quantize", "builtin", "--recipe", cli.path("r.json"), "-o", cli.path("m.gguf")});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_NE(bad.err.find("r.json"), std::string::npos) << bad.err;
  EXPECT_FALSE(std::filesystem::exists(cli.path("m.gguf")));
}

}  // namespace
}  // namespace bitloom
