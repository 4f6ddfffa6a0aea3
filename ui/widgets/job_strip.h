// SPDX-License-Identifier: GPL-3.0-or-later
// One line for each running job at the foot of the window, and the history of those that ended.
#pragma once
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QWidget>
#include <vector>

#include "ui/jobs/job_list.h"

class QVBoxLayout;

namespace bitloom {

// "1 076 of 1 512 cells · 41 /s · 11 s left"
QString progressText(const JobList::Entry& entry);

class JobStrip : public QWidget {
  Q_OBJECT
 public:
  explicit JobStrip(JobList& jobs, QWidget* parent = nullptr);

 signals:
  void runChosen(qint64 run);

 private:
  struct Line {
    int id = 0;
    QWidget* widget;
    QLabel* title;
    QProgressBar* bar;
    QLabel* text;
    QPushButton* pause;
    QPushButton* stop;
  };
  Line makeLine();
  void show(Line& line, const JobList::Entry& entry);
  void refresh();
  void showHistory();

  JobList& m_jobs;
  QVBoxLayout* m_lines;
  QLabel* m_idle;
  QPushButton* m_history;
  std::vector<Line> m_shown;
};

}  // namespace bitloom
