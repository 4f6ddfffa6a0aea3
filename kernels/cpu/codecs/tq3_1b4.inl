// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq3_1b4 = panelCodec<OneBitLayout<3, 4>>("tq3_1b4");
