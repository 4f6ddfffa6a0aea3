// SPDX-License-Identifier: GPL-3.0-or-later
// Colours, radii and spacing of the window, light and dark, in one place. Widgets ask for them when
// they paint and when the palette changes; nobody keeps a colour.
//
// Native widgets get their look from the application's style sheet, by dynamic properties that are
// set once (ui/widgets/card.h has short forms):
//   QWidget      surface = "panel" | "page"
//   QFrame       card = true (rounded panel), rule = true (hair line)
//   QLabel       tone = "faint" | "good" | "warn" | "accent" | "heading" | "title" | "number"
//   QPushButton  primary = true, link = true (text only), or badge = true (a label to press)
#pragma once
#include <QColor>
#include <QPalette>
#include <QString>

class QApplication;
class QWidget;

namespace bitloom {

enum class ThemeChoice { System, Light, Dark };

struct Theme {
  bool dark = false;
  QColor window;  // page background
  QColor panel;   // cards, header, rail, job strip
  QColor border;
  QColor text;
  QColor faint;       // secondary text
  QColor accent;      // selection, primary button, this plan
  QColor accentSoft;  // selected rows, chat bubbles
  QColor good;        // measured, fits
  QColor warn;        // pins, does not fit, divergence
  QColor track;       // empty part of bars and sliders
  QColor bar;         // unselected fader bars
  QColor onAccent;    // text on accent
};

const Theme& theme();                                            // of the application's palette now
void applyTheme(QApplication& application, ThemeChoice choice);  // palette + style sheet

// Cividis, 0 … 1; never red against green.
QColor heatColor(double t);

// Spacing in device-independent pixels.
constexpr int kGap = 8;
constexpr int kMargin = 16;
constexpr int kRadius = 8;

}  // namespace bitloom
