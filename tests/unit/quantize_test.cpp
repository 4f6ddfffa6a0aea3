// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantize.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "core/io/gguf_layout.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

struct TestJob {
  explicit TestJob(int threads = 1)
      : workers(threads), job(workers, control, JobPriority::Quantize) {}
  Workers workers;
  JobControl control;
  JobContext job;
};

// Round to nearest that counts its calls and can stop the job, or the process, at one of them.
struct Spy {
  int calls = 0;
  int cancelAt = -1;
  int killAt = -1;
  JobControl* control = nullptr;
} spy;

const Method kSpyMethod{"spy", "Counts.", false,
                        [](const QuantizeTask& task, JobContext& job) -> Result<Encoded> {
                          const int call = spy.calls++;
                          if (call == spy.cancelAt) spy.control->cancel();
                          if (call == spy.killAt) ::raise(SIGKILL);
                          return findMethod("nearest")->quantize(task, job);
                        }};

Plan watched(Plan plan) {
  for (Choice& choice : plan.tensors) {
    if (choice.effective) choice.method = &kSpyMethod;
  }
  return plan;
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = test::readFile(entry.path());
  }
  return files;
}

class Quantize : public testing::Test {
 protected:
  void SetUp() override {
    spy = {};
    fs::create_directory(m_out);
    test::TinyModelOptions options;
    options.feedForward = 172;
    m_model = openTiny(options);
  }

  std::shared_ptr<const Model> openTiny(const test::TinyModelOptions& options) {
    auto opened = Model::open(test::writeTinyModel(m_folder / "tiny.gguf", options));
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  Plan uniform(const char* codec) const {
    const auto plan = resolve(uniformRecipe(*findCodec(codec)), *m_model);
    EXPECT_TRUE(plan) << plan.error().message;
    return *plan;
  }
  Result<QuantizeSummary> write(const Plan& plan, const fs::path& target, TestJob& run,
                                bool resume = false) {
    return quantize(*m_model, plan, nullptr, target, {resume}, run.job);
  }
  Result<QuantizeSummary> write(const Plan& plan, const fs::path& target) {
    TestJob run;
    return write(plan, target, run);
  }

  TempDir m_folder;
  fs::path m_out = m_folder / "out";
  fs::path m_target = m_out / "o.gguf";
  std::shared_ptr<const Model> m_model;
};

TEST_F(Quantize, RandomRecipesGiveExactlyThePlannedFile) {
  std::mt19937 random(3);
  std::set<uint64_t> sizes;
  for (int round = 0; round < 20; ++round) {
    test::TinyModelOptions options;
    options.feedForward = round % 2 ? 172 : 96;
    options.halfFloats = round % 3 == 0;
    options.tiedHead = round % 5 == 0;
    m_model = openTiny(options);
    Recipe recipe;
    recipe.profile = runtimeProfiles()[random() % runtimeProfiles().size()].name;
    for (const Tensor& tensor : m_model->tensors()) {
      const Codec* codec = codecs()[random() % codecs().size()];
      if (random() % 6)
        recipe.rules.push_back({tensor.name, std::string(codec->name), "nearest", {}, {}, false});
    }
    const auto plan = resolve(recipe, *m_model);
    ASSERT_TRUE(plan) << plan.error().message;
    TestJob run(2);
    const auto summary = write(*plan, m_target, run);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(fs::file_size(m_target), plan->fileBytes);
    EXPECT_EQ(summary->bytes, plan->fileBytes);
    EXPECT_EQ(run.control.progress().done, plan->tensorBytes);
    EXPECT_EQ(run.control.progress().total, plan->tensorBytes);
    sizes.insert(plan->fileBytes);

    const auto read = Model::open(m_target);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE((*read)->warnings().empty());
    ASSERT_EQ((*read)->tensors().size(), m_model->tensors().size());
    for (const Choice& choice : plan->tensors) {
      const Tensor& got = (*read)->tensors()[choice.tensor];
      const Tensor& source = m_model->tensors()[choice.tensor];
      EXPECT_EQ(got.shape, source.shape);
      EXPECT_EQ(got.type,
                choice.effective ? choice.effective->name : std::string_view(source.type));
      EXPECT_EQ(got.bytes.size(), choice.bytes);
      if (!choice.effective) {
        EXPECT_TRUE(std::equal(got.bytes.begin(), got.bytes.end(), source.bytes.begin()));
        continue;
      }
      std::vector<float> row(source.rowLength());
      decodeRows(source, source.rows() - 1, 1, row.data());
      std::vector<std::byte> last(choice.effective->rowBytes(row.size()));
      choice.effective->encode(row, {}, last);
      EXPECT_TRUE(std::equal(last.begin(), last.end(), got.bytes.end() - ptrdiff_t(last.size())))
          << got.name << " " << got.type;
    }
  }
  EXPECT_GT(sizes.size(), 15u);
}

TEST_F(Quantize, GivesTheSameFileAtAnyThreadCount) {
  const Plan plan = uniform("tq3_1s");
  std::string expected;
  for (const int threads : {1, 2, 7}) {
    TestJob run(threads);
    ASSERT_TRUE(write(plan, m_target, run));
    const std::string bytes = test::readFile(m_target);
    if (expected.empty()) expected = bytes;
    EXPECT_EQ(bytes, expected) << threads;
  }
}

TEST_F(Quantize, AFileOfBitloomCanBeTheSourceAgain) {
  ASSERT_TRUE(write(uniform("tq3_1b4"), m_target));
  auto first = Model::open(m_target);
  ASSERT_TRUE(first) << first.error().message;
  m_model = *first;
  const auto plan = resolve(Recipe(), *m_model);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->fileBytes, m_model->fileBytes()) << "copied unchanged, provenance replaced";
  ASSERT_TRUE(write(*plan, m_out / "again.gguf"));
  const auto again = Model::open(m_out / "again.gguf");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->find("blk.0.attn_q.weight")->type, "tq3_1b4");
  EXPECT_EQ((*again)->metadata().stringOf("bitloom.source_fingerprint"), m_model->fingerprint());
  ASSERT_TRUE(write(uniform("q8_0"), m_out / "q8.gguf"));
  const auto q8 = Model::open(m_out / "q8.gguf");
  ASSERT_TRUE(q8) << q8.error().message;
  EXPECT_EQ((*q8)->metadata().find("bitloom.codec.blk.0.attn_q.weight"), nullptr);
  EXPECT_EQ((*q8)->metadata().unsignedOf("general.file_type"), 7u);
}

TEST_F(Quantize, CancelAtEveryTensorLeavesTheFolderAsItWas) {
  test::writeFile(m_target, "an older file");
  const Plan plan = watched(uniform("q4_0"));
  const auto before = contents(m_out);
  int encoded = 0;
  for (const Choice& choice : plan.tensors) encoded += choice.effective != nullptr;
  ASSERT_GT(encoded, 10);
  for (int at = 0; at < encoded; ++at) {
    TestJob run(2);
    spy = {};
    spy.cancelAt = at;
    spy.control = &run.control;
    const auto summary = write(plan, m_target, run);
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, ErrorCode::Cancelled);
    EXPECT_EQ(spy.calls, at + 1);
    EXPECT_EQ(contents(m_out), before);
  }
  ASSERT_TRUE(write(plan, m_target));
  EXPECT_EQ(contents(m_out).size(), 1u);
  EXPECT_EQ(fs::file_size(m_target), plan.fileBytes);
}

TEST_F(Quantize, RefusesNanWeightsCopiedOrNot) {
  std::string bytes = test::tinyModelBytes();
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&bytes[bytes.size() - 64 * 4 + 8], &bad, sizeof bad);  // last row of output.weight
  test::writeFile(m_folder / "nan.gguf", bytes);
  auto opened = Model::open(m_folder / "nan.gguf");
  ASSERT_TRUE(opened) << opened.error().message;
  m_model = *opened;
  for (const Plan& plan : {uniform("q4_0"), *resolve(Recipe(), *m_model)}) {
    const auto summary = write(plan, m_target);
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, ErrorCode::Corrupt);
    EXPECT_EQ(
        summary.error().message,
        "output.weight: row 63, column 2 holds a NaN or an infinity, so the tensor is damaged.");
    EXPECT_TRUE(contents(m_out).empty());
  }
}

TEST_F(Quantize, RefusesToWriteOverItsSource) {
  const Plan plan = uniform("q4_0");
  const std::string before = test::readFile(m_model->path());
  fs::create_symlink(m_model->path(), m_out / "link.gguf");
  for (const fs::path& target :
       {m_model->path(), m_out / "link.gguf", m_out / ".." / "tiny.gguf"}) {
    const auto summary = write(plan, target);
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(summary.error().message,
              target.string() + " is the model that is read, so it cannot be written.");
  }
  EXPECT_EQ(test::readFile(m_model->path()), before);
}

TEST_F(Quantize, AFolderThatCannotBeWrittenIsNamed) {
  const Plan plan = uniform("q4_0");
  test::writeFile(m_out / "file", "x");
  std::vector<fs::path> targets = {m_out / "absent" / "o.gguf", m_out / "file" / "o.gguf",
                                   "/proc/o.gguf", m_out};
  if (::geteuid() != 0) {
    fs::create_directory(m_out / "locked");
    fs::permissions(m_out / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    targets.push_back(m_out / "locked" / "o.gguf");
  }
  for (const fs::path& target : targets) {
    const auto summary = write(plan, target);
    ASSERT_FALSE(summary) << target;
    EXPECT_NE(summary.error().message.find(target.string()), std::string::npos)
        << summary.error().message;
  }
  EXPECT_EQ(test::readFile(m_out / "file"), "x");
}

TEST_F(Quantize, AFullDiskIsFoundBeforeTheWork) {
  if (::mount("tmpfs", m_out.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs is not permitted here";
  }
  const Plan plan = watched(uniform("q8_0"));
  const auto summary = write(plan, m_target);
  const bool clean = contents(m_out).empty();
  ::umount(m_out.c_str());
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code, ErrorCode::Io);
  EXPECT_NE(summary.error().message.find("free"), std::string::npos) << summary.error().message;
  EXPECT_EQ(spy.calls, 0);
  EXPECT_TRUE(clean);
}

TEST_F(Quantize, AMissingCalibrationIsFoundBeforeTheWork) {
  Recipe recipe = uniformRecipe(*findCodec("q4_0"));
  recipe.rules[0].method = "imatrix";
  const auto plan = resolve(recipe, *m_model);
  ASSERT_TRUE(plan);
  const auto summary = write(*plan, m_target);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().message,
            "token_embd.weight: method imatrix needs a calibration, and none was given.");
  EXPECT_TRUE(contents(m_out).empty());
}

TEST_F(Quantize, RefusesAPlanOfAnotherModel) {
  Plan plan = uniform("q4_0");
  plan.tensors.pop_back();
  const auto summary = write(plan, m_target);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(summary.error().message.find("tiny.gguf"), std::string::npos);
}

// Runs a quantization in a child that kills itself in the `at`-th encoded tensor.
void killedAt(int at, const Model& model, const Plan& plan, const fs::path& target) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    spy.killAt = at;
    TestJob run(1);
    (void)quantize(model, plan, nullptr, target, {}, run.job);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(Quantize, AKilledJobGoesOnAndGivesTheSameFile) {
  const Plan plan = watched(uniform("tq3_1s"));
  ASSERT_TRUE(write(plan, m_out / "straight.gguf"));
  const int all = spy.calls;
  spy = {};
  killedAt(7, *m_model, plan, m_target);
  EXPECT_TRUE(fs::exists(m_target.string() + ".part"));
  EXPECT_TRUE(fs::exists(m_target.string() + ".part.journal"));
  EXPECT_FALSE(fs::exists(m_target));
  TestJob run(2);
  const auto summary = write(plan, m_target, run, true);
  ASSERT_TRUE(summary) << summary.error().message;
  // The seventh was perhaps still being written while the eighth was encoded.
  EXPECT_LE(spy.calls, all - 6) << "what was complete is not encoded again";
  EXPECT_GE(spy.calls, all - 7);
  EXPECT_EQ(run.control.progress().done, plan.tensorBytes);
  EXPECT_EQ(test::readFile(m_target), test::readFile(m_out / "straight.gguf"));
  EXPECT_EQ(contents(m_out).size(), 2u);
}

TEST_F(Quantize, AnotherPlanStartsAnew) {
  killedAt(7, *m_model, watched(uniform("tq3_1s")), m_target);
  const Plan other = watched(uniform("q8_0"));
  ASSERT_TRUE(write(other, m_out / "straight.gguf"));
  const int all = spy.calls;
  spy = {};
  TestJob run;
  ASSERT_TRUE(write(other, m_target, run, true));
  EXPECT_EQ(spy.calls, all);
  EXPECT_EQ(test::readFile(m_target), test::readFile(m_out / "straight.gguf"));
}

TEST_F(Quantize, CancelOfAResumedJobLeavesNothing) {
  const Plan plan = watched(uniform("q8_0"));
  killedAt(5, *m_model, plan, m_target);
  TestJob run;
  spy = {};
  spy.cancelAt = 1;
  spy.control = &run.control;
  EXPECT_EQ(write(plan, m_target, run, true).error().code, ErrorCode::Cancelled);
  EXPECT_TRUE(contents(m_out).empty());
}

}  // namespace
}  // namespace bitloom
