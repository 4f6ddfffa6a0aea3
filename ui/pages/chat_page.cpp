// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/chat_page.h"

#include <QHBoxLayout>
#include <QRandomGenerator>
#include <QShortcut>
#include <QVBoxLayout>

#include "core/statistics.h"
#include "ui/format.h"
#include "ui/theme.h"

namespace bitloom {

ChatPage::ChatPage(Document& document, QWidget* parent) : QWidget(parent), m_document(document) {
  setObjectName(QStringLiteral("chatPage"));
  m_left = new ChatColumn(document, ChatColumn::Source::Reference, {}, this);
  m_left->setObjectName(QStringLiteral("leftColumn"));
  m_right = new ChatColumn(document, ChatColumn::Source::Codec, QStringLiteral("tq3_1s"), this);
  m_right->setObjectName(QStringLiteral("rightColumn"));
  m_error = new QLabel(this);
  m_error->setObjectName(QStringLiteral("errorLabel"));
  m_error->setProperty("tone", "warn");
  m_error->setWordWrap(true);
  m_error->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_error->hide();

  m_culprits = new CulpritPanel(document, this);

  auto* columns = new QHBoxLayout;
  columns->setSpacing(kMargin);
  columns->addWidget(m_left, 1);
  columns->addWidget(m_right, 1);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(24, 24, 24, 12);
  layout->setSpacing(10);
  layout->addWidget(m_error);
  layout->addLayout(columns, 1);
  layout->addWidget(m_culprits);
  layout->addWidget(buildVote());
  layout->addWidget(buildSettings());
  layout->addWidget(buildPrompt());

  for (ChatColumn* column : {m_left, m_right}) {
    connect(column, &ChatColumn::answered, this, &ChatPage::columnAnswered);
    connect(column, &ChatColumn::failed, this, [this](const QString& message) {
      showError(message);
      if (m_prompt->text().isEmpty()) m_prompt->setText(m_lastPrompt);  // to be changed
    });
  }
  connect(m_right, &ChatColumn::tokenAsked, this, &ChatPage::explain);
  connect(&document, &Document::modelChanged, this, &ChatPage::reload);
  connect(&document, &Document::planChanged, this, [this] {
    if (m_document.isPreviewing()) return;
    for (ChatColumn* column : {m_left, m_right}) {
      if (!column->isBusy()) column->refreshChoices();
    }
  });
  reload();
}

QWidget* ChatPage::buildVote() {
  m_voteBar = new QWidget(this);
  auto* row = new QHBoxLayout(m_voteBar);
  row->setContentsMargins(0, 0, 0, 0);
  m_voteText = new QLabel(tr("Which is better?"), m_voteBar);
  row->addStretch(1);
  row->addWidget(m_voteText);
  const std::pair<const char*, QString> choices[] = {
      {"left", tr("◀ left")}, {"tie", tr("tie")}, {"right", tr("right ▶")}};
  for (const auto& [winner, text] : choices) {
    auto* button = new QPushButton(text, m_voteBar);
    button->setObjectName(QString::fromLatin1(winner) + QStringLiteral("VoteButton"));
    const QString name = QString::fromLatin1(winner);
    connect(button, &QPushButton::clicked, this, [this, name] { vote(name); });
    row->addWidget(button);
  }
  m_blind = new QCheckBox(tr("blind: hide names and shuffle"), m_voteBar);
  m_blind->setObjectName(QStringLiteral("blindCheckBox"));
  connect(m_blind, &QCheckBox::toggled, this, &ChatPage::setBlind);
  row->addSpacing(kMargin);
  row->addWidget(m_blind);
  row->addStretch(1);
  m_template = new QLabel(m_voteBar);
  m_template->setProperty("tone", "faint");
  row->addWidget(m_template);
  return m_voteBar;
}

QWidget* ChatPage::buildSettings() {
  auto* bar = new QWidget(this);
  auto* row = new QHBoxLayout(bar);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(kGap);
  auto add = [&](const QString& text, QWidget* editor, const QString& name) {
    auto* label = new QLabel(text, bar);
    label->setProperty("tone", "faint");
    label->setBuddy(editor);
    editor->setObjectName(name);
    editor->setAccessibleName(text);
    row->addWidget(label);
    row->addWidget(editor);
  };
  m_temperature = new QDoubleSpinBox(bar);
  m_temperature->setRange(0, 5);
  m_temperature->setSingleStep(0.1);
  m_temperature->setSpecialValueText(tr("greedy"));
  m_seed = new QSpinBox(bar);
  m_seed->setRange(0, 999999);
  m_seed->setValue(42);
  m_maxTokens = new QSpinBox(bar);
  m_maxTokens->setRange(1, 4096);
  m_maxTokens->setValue(120);
  m_system = new QLineEdit(bar);
  m_system->setPlaceholderText(tr("none"));
  m_system->setMinimumWidth(160);
  add(tr("temperature"), m_temperature, QStringLiteral("temperatureSpinBox"));
  add(tr("seed"), m_seed, QStringLiteral("seedSpinBox"));
  add(tr("tokens at most"), m_maxTokens, QStringLiteral("maxTokensSpinBox"));
  add(tr("system text"), m_system, QStringLiteral("systemEdit"));
  m_forced = new QCheckBox(tr("forced: right scores the left's text"), bar);
  m_forced->setObjectName(QStringLiteral("forcedCheckBox"));
  m_forced->setToolTip(
      tr("Every token of the left answer is compared, not only those before the two part."));
  connect(m_forced, &QCheckBox::toggled, this, [this] {
    if (!isBusy()) compare();
  });
  row->addWidget(m_forced);
  row->addStretch(1);
  return bar;
}

QWidget* ChatPage::buildPrompt() {
  auto* card = new QFrame(this);
  card->setProperty("card", true);
  auto* row = new QHBoxLayout(card);
  row->setContentsMargins(kMargin, 8, 8, 8);
  m_prompt = new QLineEdit(card);
  m_prompt->setObjectName(QStringLiteral("promptEdit"));
  m_prompt->setPlaceholderText(tr("Ask both…"));
  m_prompt->setAccessibleName(tr("Prompt"));
  m_prompt->setFrame(false);
  m_regenerate = new QPushButton(tr("Regenerate"), card);
  m_regenerate->setObjectName(QStringLiteral("regenerateButton"));
  m_clear = new QPushButton(tr("New chat"), card);
  m_clear->setObjectName(QStringLiteral("newChatButton"));
  m_send = new QPushButton(tr("Send"), card);
  m_send->setObjectName(QStringLiteral("sendButton"));
  m_send->setProperty("primary", true);
  row->addWidget(m_prompt, 1);
  row->addWidget(m_regenerate);
  row->addWidget(m_clear);
  row->addWidget(m_send);
  connect(m_prompt, &QLineEdit::returnPressed, this, &ChatPage::send);
  connect(m_prompt, &QLineEdit::textChanged, this, &ChatPage::updateButtons);
  connect(m_send, &QPushButton::clicked, this, [this] { isBusy() ? stop() : send(); });
  auto* escape = new QShortcut(Qt::Key_Escape, this);
  escape->setContext(Qt::WidgetWithChildrenShortcut);
  connect(escape, &QShortcut::activated, this, &ChatPage::stop);
  connect(m_regenerate, &QPushButton::clicked, this, &ChatPage::regenerate);
  connect(m_clear, &QPushButton::clicked, this, [this] {
    forgetComparison();
    m_left->clear();
    m_right->clear();
    m_lastPrompt.clear();
    m_voted = false;
    m_error->hide();
    updateButtons();
  });
  return card;
}

void ChatPage::reload() {
  forgetComparison();
  m_left->reload();
  m_right->reload();
  m_lastPrompt.clear();
  m_voted = false;
  m_error->hide();
  if (m_document.isOpen()) {
    const std::string_view source = m_document.chatTemplate().source();
    m_template->setText(QString::fromUtf8(source.data(), qsizetype(source.size())));
    if (!m_document.canInfer()) showError(m_document.inferenceProblem());
    if (!m_document.tokenizer()) showError(tr("This model has no tokenizer, so it cannot chat."));
  }
  updateButtons();
}

ChatOptions ChatPage::options() const {
  ChatOptions result;
  result.sampler.temperature = m_temperature->value();
  result.sampler.seed = uint64_t(m_seed->value());
  result.maxTokens = uint32_t(m_maxTokens->value());
  return result;
}

void ChatPage::send() {
  const QString prompt = m_prompt->text().trimmed();
  if (prompt.isEmpty() || isBusy() || !m_send->isEnabled()) return;
  m_prompt->clear();
  ask(prompt);
}

void ChatPage::ask(const QString& prompt) {
  m_error->hide();
  m_lastPrompt = prompt;
  m_voted = false;
  forgetComparison();
  if (m_blind->isChecked()) setSwapped(QRandomGenerator::global()->bounded(2) == 1);
  setBlind(m_blind->isChecked());
  m_askedBlind = m_blind->isChecked();
  m_left->ask(prompt, m_system->text(), options());
  m_right->ask(prompt, m_system->text(), options());
  updateButtons();
}

void ChatPage::regenerate() {
  if (m_lastPrompt.isEmpty() || isBusy()) return;
  m_left->dropLastExchange();
  m_right->dropLastExchange();
  if (m_temperature->value() > 0) m_seed->setValue(m_seed->value() + 1);
  ask(m_lastPrompt);
}

void ChatPage::stop() {
  m_left->stop();
  m_right->stop();
}

void ChatPage::showEvent(QShowEvent* event) {
  QWidget::showEvent(event);
  m_document.devices().find();
}

void ChatPage::columnAnswered() {
  updateButtons();
  if (!isBusy()) compare();
}

bool ChatPage::isBusy() const { return m_left->isBusy() || m_right->isBusy(); }

// The columns are about to change: what is being compared is no longer what they show.
void ChatPage::forgetComparison() {
  if (m_compareJob != 0) m_document.jobs().cancel(m_compareJob);
  m_compareJob = 0;
  m_culprits->forget();
}

void ChatPage::compare() {
  forgetComparison();
  const auto reference = m_left->variant();
  const auto variant = m_right->variant();
  const bool forced = m_forced->isChecked();
  const auto& source = forced ? m_left->answer() : m_right->answer();
  if (!reference || !variant || source.tokens.empty() || !m_document.tokenizer()) return;
  if (reference->graph().vocabulary != variant->graph().vocabulary) return;
  std::vector<TokenId> ids;
  for (const ChatToken& token : source.tokens) ids.push_back(token.id);
  const auto prompt = forced ? m_left->prompt() : m_right->prompt();
  m_comparedPrompt = prompt;
  m_comparedIds = ids;
  const auto model = m_document.sharedModel();
  using Tokens = std::vector<ChatToken>;
  auto id = std::make_shared<int>(0);
  *id = m_document.jobs().start<Tokens>(
      tr("Compare the columns"), JobPriority::Chat, this,
      [=](JobContext& job) -> Result<Tokens> {
        TRY(auto tokenizer, Tokenizer::create(model->metadata()));
        return compareForced(*reference, *variant, tokenizer, prompt, ids, job);
      },
      [this, forced, id](Result<Tokens> compared) {
        if (m_compareJob != *id) return;
        m_compareJob = 0;
        if (compared)
          showCompared(*compared, forced);
        else if (compared.error().code != ErrorCode::Cancelled)
          showError(QString::fromStdString(compared.error().message));
      },
      true);
  m_compareJob = *id;
}

namespace {

// First token that differs; −1: nowhere. That one answer was cut short is no difference.
int firstDivergence(const ChatAnswer& left, const ChatAnswer& right) {
  const size_t shared = std::min(left.tokens.size(), right.tokens.size());
  for (size_t i = 0; i < shared; ++i) {
    if (left.tokens[i].id != right.tokens[i].id) return int(i);
  }
  if (left.tokens.size() == right.tokens.size()) return -1;
  const ChatAnswer& shorter = left.tokens.size() < right.tokens.size() ? left : right;
  return shorter.ended ? int(shared) : -1;
}

}  // namespace

void ChatPage::showCompared(const std::vector<ChatToken>& compared, bool forced) {
  const int mark = firstDivergence(m_left->answer(), m_right->answer());
  if (forced) {
    m_right->showForced(compared, m_left->shownTitle(), m_right->shownTitle());
  } else {
    m_right->showComparison(compared, mark, m_left->shownTitle(), m_right->shownTitle());
    m_left->showComparison({}, mark, m_left->shownTitle(), m_right->shownTitle());
  }
  std::vector<double> klds;
  size_t agree = 0;
  for (const ChatToken& token : compared) {
    klds.push_back(token.kld);
    if (!token.top.empty() && !token.referenceTop.empty() &&
        token.top[0].id == token.referenceTop[0].id)
      ++agree;
  }
  const Estimate kld = estimate(klds);
  const double share = compared.empty() ? 1 : double(agree) / double(compared.size());
  m_right->setFooter(
      tr("mean KL %1 · same top token %2 · %3%4")
          .arg(formatKldError(kld.mean, kld.error), formatPercent(share),
               mark < 0 ? tr("no divergence") : tr("first divergence at %1").arg(mark + 1),
               forced ? tr(" · scoring the left's text") : QString()));
  updateButtons();
}

void ChatPage::explain(size_t token) {
  if (isBusy() || token >= m_comparedIds.size() || m_blind->isChecked()) return;
  std::vector<TokenId> context = m_comparedPrompt;
  context.insert(context.end(), m_comparedIds.begin(),
                 m_comparedIds.begin() + std::ptrdiff_t(token));
  const auto& shown = m_right->transcript().messages().back().tokens;
  m_culprits->explain({.reference = m_left->variant(),
                       .variant = m_right->variant(),
                       .context = std::move(context),
                       .token = shown[token].text,
                       .number = token + 1,
                       .ofPlan = m_right->source() == ChatColumn::Source::Plan});
}

void ChatPage::vote(const QString& winner) {
  QString real = winner;
  if (m_swapped && winner != QLatin1String("tie")) {
    real = winner == QLatin1String("left") ? QStringLiteral("right") : QStringLiteral("left");
  }
  ChatColumn* left = m_swapped ? m_right : m_left;
  ChatColumn* right = m_swapped ? m_left : m_right;
  Run run{.kind = RunKind::Chat,
          .model = m_document.model().name(),
          .fingerprint = m_document.model().fingerprint(),
          .title = m_lastPrompt.left(60).toStdString(),
          .state = "done"};
  auto id = m_document.store().add(run);
  if (!id) return showError(QString::fromStdString(id.error().message));
  const auto stored = m_document.store().addVote({.run = *id,
                                                  .prompt = m_lastPrompt.toStdString(),
                                                  .left = left->answeredBy().toStdString(),
                                                  .right = right->answeredBy().toStdString(),
                                                  .leftText = left->answer().text,
                                                  .rightText = right->answer().text,
                                                  .winner = real.toStdString(),
                                                  .blind = m_askedBlind});
  if (!stored) return showError(QString::fromStdString(stored.error().message));
  m_voted = true;
  m_document.announceRuns();
  m_left->setHiddenTitle({});
  m_right->setHiddenTitle({});
  updateButtons();
}

void ChatPage::setSwapped(bool swapped) {
  if (swapped == m_swapped) return;
  m_left->swapWith(*m_right);
  m_swapped = swapped;
}

// Names come and go at once; the columns are shuffled when the next prompt is sent, since answers
// that were seen with their names cannot be blinded any more.
void ChatPage::setBlind(bool blind) {
  if (!blind) setSwapped(false);
  m_left->setHiddenTitle(blind ? tr("A") : QString());
  m_right->setHiddenTitle(blind ? tr("B") : QString());
}

void ChatPage::updateButtons() {
  const bool busy = isBusy();
  const bool ready = m_document.isOpen() && m_document.canInfer() && m_document.tokenizer();
  m_send->setText(busy ? tr("Stop") : tr("Send"));
  m_send->setEnabled(busy || (ready && !m_prompt->text().trimmed().isEmpty()));
  m_prompt->setEnabled(ready);
  m_blind->setEnabled(!busy);
  m_regenerate->setEnabled(ready && !busy && !m_lastPrompt.isEmpty());
  m_clear->setEnabled(!busy && !m_lastPrompt.isEmpty());
  const bool canVote = !busy && !m_lastPrompt.isEmpty() && !m_voted &&
                       !m_left->answer().tokens.empty() && !m_right->answer().tokens.empty();
  for (QPushButton* button : m_voteBar->findChildren<QPushButton*>()) button->setEnabled(canVote);
  m_voteText->setText(m_voted ? tr("Vote kept.") : tr("Which is better?"));
}

void ChatPage::showError(const QString& message) {
  m_error->setText(message);
  m_error->setVisible(!message.isEmpty());
}

}  // namespace bitloom
