// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/theme.h"

#include <QApplication>
#include <QFont>
#include <QFontInfo>
#include <QStyleFactory>
#include <algorithm>
#include <array>
#include <cmath>

namespace bitloom {
namespace {

Theme lightTheme() {
  Theme t;
  t.window = "#f2f2f0";
  t.panel = "#ffffff";
  t.border = "#dcdcd8";
  t.text = "#1b1b1d";
  t.faint = "#66666b";
  t.accent = "#1f6feb";
  t.accentSoft = "#e6edfc";
  t.good = "#1a7f47";
  t.warn = "#a85a00";
  t.track = "#dcdcd8";
  t.bar = "#9fb7ef";
  t.onAccent = "#ffffff";
  return t;
}

Theme darkTheme() {
  Theme t;
  t.dark = true;
  t.window = "#18191b";
  t.panel = "#212226";
  t.border = "#36373c";
  t.text = "#ececee";
  t.faint = "#a2a3aa";
  t.accent = "#6a9fff";
  t.accentSoft = "#263551";
  t.good = "#6cc08b";
  t.warn = "#e3a04e";
  t.track = "#36373c";
  t.bar = "#43609f";
  t.onAccent = "#101114";
  return t;
}

// A system palette of pure black and white asks for contrast: nothing is greyed.
bool wantsContrast(const QPalette& palette) {
  const int window = palette.color(QPalette::Window).lightness();
  const int text = palette.color(QPalette::WindowText).lightness();
  return (window == 0 && text >= 250) ||
         (window == 255 && text == 0 &&
          palette.color(QPalette::Button) == palette.color(QPalette::Window));
}

Theme themeFor(bool dark, bool contrast) {
  Theme t = dark ? darkTheme() : lightTheme();
  if (contrast) {
    t.window = t.panel = dark ? Qt::black : Qt::white;
    t.text = t.faint = t.border = dark ? Qt::white : Qt::black;
  }
  return t;
}

QPalette paletteFor(const Theme& t) {
  QPalette p;
  p.setColor(QPalette::Window, t.window);
  p.setColor(QPalette::WindowText, t.text);
  p.setColor(QPalette::Base, t.panel);
  p.setColor(QPalette::AlternateBase, t.window);
  p.setColor(QPalette::Text, t.text);
  p.setColor(QPalette::Button, t.panel);
  p.setColor(QPalette::ButtonText, t.text);
  p.setColor(QPalette::BrightText, t.warn);
  p.setColor(QPalette::Highlight, t.accent);
  p.setColor(QPalette::HighlightedText, t.onAccent);
  p.setColor(QPalette::Link, t.accent);
  p.setColor(QPalette::ToolTipBase, t.panel);
  p.setColor(QPalette::ToolTipText, t.text);
  p.setColor(QPalette::PlaceholderText, t.faint);
  p.setColor(QPalette::Mid, t.border);
  p.setColor(QPalette::Light, t.dark ? t.border : t.panel);
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
    p.setColor(QPalette::Disabled, role, t.faint);
  }
  return p;
}

// Placeholders are names of Theme's colours.
const char* const kStyle = R"(
QToolTip { background: @panel; color: @text; border: 1px solid @border; padding: 5px; }
QWidget[surface="panel"] { background: @panel; }
QWidget[surface="page"] { background: @window; }
QFrame[card="true"] { background: @panel; border: 1px solid @border; border-radius: 8px; }
QFrame[rule="true"] { background: @border; border: none; }
QLabel { background: transparent; border: none; }
QLabel[tone="faint"] { color: @faint; }
QLabel[tone="good"] { color: @good; }
QLabel[tone="warn"] { color: @warn; }
QLabel[tone="accent"] { color: @accent; font-weight: bold; }
QLabel[tone="heading"] { font-weight: bold; }
QLabel[tone="title"] { font-weight: bold; font-size: 15pt; }
QLabel[tone="number"] { font-weight: bold; font-size: 14pt; }
QPushButton, QToolButton { background: @panel; color: @text; border: 1px solid @border;
  border-radius: 6px; padding: 5px 14px; }
QPushButton:hover, QToolButton:hover { border-color: @faint; }
QPushButton:pressed, QToolButton:pressed { background: @accentSoft; }
QPushButton:checked, QToolButton:checked { background: @accentSoft; border-color: @accent; }
QPushButton:disabled, QToolButton:disabled { color: @disabled; border-color: @border; }
QPushButton:focus, QToolButton:focus { border: 2px solid @accent; padding: 4px 13px; }
QPushButton[primary="true"] { background: @accent; color: @onAccent; border: 1px solid @accent;
  font-weight: bold; }
QPushButton[primary="true"]:hover { background: @accentHover; }
QPushButton[primary="true"]:disabled { background: @track; color: @faint; border-color: @track; }
QPushButton[primary="true"]:focus { border: 2px solid @text; }
QPushButton[link="true"], QToolButton[link="true"] { background: transparent; color: @accent;
  border: 1px solid transparent; padding: 3px 6px; }
QPushButton[link="true"]:hover, QToolButton[link="true"]:hover { background: @accentSoft; }
QPushButton[link="true"]:focus, QToolButton[link="true"]:focus { border: 1px solid @accent;
  padding: 3px 6px; }
QPushButton[link="true"]:disabled { color: @disabled; }
QPushButton[badge="true"] { background: transparent; border: 1px solid transparent;
  padding: 0 4px; text-align: left; }
QPushButton[badge="true"]:hover { background: @accentSoft; }
QPushButton[badge="true"]:focus { border: 1px solid @accent; padding: 0 4px; }
QPushButton[tone="faint"], QToolButton[tone="faint"] { color: @faint; }
QToolButton::menu-indicator { image: none; }
QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox { background: @panel;
  color: @text; border: 1px solid @border; border-radius: 6px; padding: 4px 8px;
  selection-background-color: @accent; selection-color: @onAccent; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus,
QComboBox:focus { border: 2px solid @accent; padding: 3px 7px; }
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled { color: @disabled; }
QLineEdit[readOnly="true"] { background: @window; }
QSpinBox::up-button, QDoubleSpinBox::up-button, QSpinBox::down-button,
QDoubleSpinBox::down-button { border: none; background: transparent; width: 18px; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url(:/icons/chevron-up.svg); width: 10px;
  height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url(:/icons/chevron.svg); width: 10px;
  height: 10px; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url(:/icons/chevron.svg); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: @panel; color: @text; border: 1px solid @border;
  selection-background-color: @accentSoft; selection-color: @text; outline: none; padding: 2px; }
QAbstractItemView { background: @panel; color: @text; border: none; outline: none;
  selection-background-color: @accentSoft; selection-color: @text; }
QTableView, QTreeView { gridline-color: transparent; }
QTableView::item { padding: 0 5px; border: none; }
QTableView::item:selected { background: @accentSoft; color: @text; }
QTableView::item:focus { border: 1px solid @accent; }
QHeaderView { background: @panel; }
QHeaderView::section { background: @panel; color: @faint; border: none;
  border-bottom: 1px solid @border; padding: 5px 8px; font-weight: bold; }
QTableCornerButton::section { background: @panel; border: none; }
QScrollArea { background: transparent; border: none; }
QScrollBar { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; } QScrollBar:horizontal { height: 10px; }
QScrollBar::handle { background: @track; border-radius: 3px; margin: 2px; }
QScrollBar::handle:hover { background: @faint; }
QScrollBar::handle:vertical { min-height: 24px; } QScrollBar::handle:horizontal { min-width: 24px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QProgressBar { background: @track; border: none; border-radius: 4px; min-height: 8px;
  max-height: 8px; color: transparent; }
QProgressBar::chunk { background: @accent; border-radius: 4px; }
QSlider:horizontal { min-height: 22px; }
QSlider::groove:horizontal { height: 4px; background: @track; border-radius: 2px; }
QSlider::sub-page:horizontal { background: @accent; border-radius: 2px; }
QSlider::handle:horizontal { width: 14px; height: 14px; margin: -7px 0; border-radius: 9px;
  background: @panel; border: 2px solid @accent; }
QSlider::handle:horizontal:focus { background: @accentSoft; border: 3px solid @accent; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid @faint; border-radius: 4px;
  background: @panel; }
QCheckBox::indicator:checked { background: @accent; border-color: @accent; }
QCheckBox::indicator:disabled { border-color: @border; }
QCheckBox:focus { color: @accent; }
QMenu { background: @panel; color: @text; border: 1px solid @border; padding: 4px; }
QMenu::item { padding: 6px 28px 6px 14px; border-radius: 4px; }
QMenu::item:selected { background: @accentSoft; }
QMenu::item:disabled { color: @disabled; }
QMenu::separator { height: 1px; background: @border; margin: 4px 8px; }
QCheckBox, QRadioButton { spacing: 7px; background: transparent; }
QCheckBox::indicator, QRadioButton::indicator { width: 14px; height: 14px; background: @panel;
  border: 1px solid @faint; border-radius: 4px; }
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:checked, QRadioButton::indicator:checked { background: @accent;
  border-color: @accent; image: url(:/icons/check.svg); }
QRadioButton::indicator:checked { image: url(:/icons/dot.svg); }
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border: 2px solid @accent; }
QCheckBox:disabled, QRadioButton:disabled { color: @disabled; }
QSplitter::handle { background: transparent; }
)";

QString styleSheetFor(const Theme& t) {
  QString style = QString::fromLatin1(kStyle);
  const QColor hover = t.dark ? t.accent.lighter(110) : t.accent.darker(112);
  const QColor disabled = t.dark ? QColor("#6d6e75") : QColor("#9a9a9e");
  // Longer names first: @accentSoft begins with @accent.
  const std::array<std::pair<const char*, QColor>, 13> colours = {{{"@accentSoft", t.accentSoft},
                                                                   {"@accentHover", hover},
                                                                   {"@onAccent", t.onAccent},
                                                                   {"@disabled", disabled},
                                                                   {"@window", t.window},
                                                                   {"@panel", t.panel},
                                                                   {"@border", t.border},
                                                                   {"@text", t.text},
                                                                   {"@faint", t.faint},
                                                                   {"@accent", t.accent},
                                                                   {"@good", t.good},
                                                                   {"@warn", t.warn},
                                                                   {"@track", t.track}}};
  for (const auto& [name, colour] : colours) style.replace(name, colour.name());
  return style;
}

// Wide letters of the fallback family would cost a tenth of every line.
QFont textFont(const QApplication& application) {
  QFont font = application.font();
  if (QFontInfo(font).family() == "DejaVu Sans") font.setFamily("DejaVu Sans Condensed");
  font.setPointSizeF(std::max(11.0, font.pointSizeF()));
  return font;
}

Theme g_theme = lightTheme();

}  // namespace

const Theme& theme() { return g_theme; }

void applyTheme(QApplication& application, ThemeChoice choice) {
  static const QPalette system = application.palette();
  static const QFont font = textFont(application);
  const bool systemDark =
      system.color(QPalette::Window).lightness() < system.color(QPalette::WindowText).lightness();
  const bool dark = choice == ThemeChoice::Dark || (choice == ThemeChoice::System && systemDark);
  g_theme = themeFor(dark, choice == ThemeChoice::System && wantsContrast(system));
  application.setStyle(QStyleFactory::create("Fusion"));
  application.setFont(font);
  application.setPalette(paletteFor(g_theme));
  application.setStyleSheet(styleSheetFor(g_theme));
}

QColor heatColor(double t) {
  // Cividis at nine equal steps (Nuñez, Anderton, Renslow, PLoS ONE 13(7), 2018); linear between.
  static constexpr std::array<std::array<int, 3>, 9> kSteps = {{{0, 34, 78},
                                                                {24, 55, 111},
                                                                {64, 77, 108},
                                                                {91, 99, 110},
                                                                {117, 121, 119},
                                                                {147, 143, 118},
                                                                {179, 168, 108},
                                                                {214, 194, 88},
                                                                {254, 232, 56}}};
  const double at = std::isfinite(t) ? std::clamp(t, 0.0, 1.0) * (kSteps.size() - 1) : 0.0;
  const size_t low = std::min(size_t(at), kSteps.size() - 2);
  const double share = at - double(low);
  const auto mix = [&](size_t channel) {
    return int(std::lround(kSteps[low][channel] * (1 - share) + kSteps[low + 1][channel] * share));
  };
  return QColor(mix(0), mix(1), mix(2));
}

}  // namespace bitloom
